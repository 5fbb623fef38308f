//! Whether a CONNECT is who it says it is.

use jiff::Timestamp;

use crate::credential::holder::{Credential, CredentialKind, Holder, Standing};
use crate::credential::minted_password::MintedPassword;
use crate::engine::decision::{Decision, DenyReason, Grant};
use crate::keyring::Keyring;
use crate::names::organization_id::OrganizationId;
use crate::secret::constant_time_eq;

/// What the client has proved so far.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// A minted password with a good seal. Its secret has yet to be compared.
    Minted(MintedPassword<'a>),
    /// A password that somebody chose; the slow hash has told whether it is right.
    Password {
        /// Whether it is right.
        right: bool,
    },
    /// An API key with a good seal. No holder of this kind can connect with one.
    ApiKey,
}

/// Decides a CONNECT. `holder` is whom the username names, if it names anybody.
pub fn authenticate(
    proof: Proof<'_>,
    holder: Option<&Holder>,
    mountpoint: Option<OrganizationId>,
    keys: &Keyring,
    now: Timestamp,
) -> Decision<Grant> {
    let found = match proof {
        Proof::Minted(password) => check_minted(password, holder, keys),
        Proof::Password { right } => check_password(right, holder),
        Proof::ApiKey => Err(DenyReason::UnknownCredential),
    };
    let (holder, credential) = match found {
        Ok(found) => found,
        Err(reason) => return Decision::Deny(reason),
    };
    match credential.standing(now) {
        Standing::Revoked => Decision::Deny(DenyReason::Revoked),
        Standing::Expired => Decision::Deny(DenyReason::Expired),
        Standing::Live => Decision::Allow(Grant {
            username: holder.username(),
            token: credential.token_id(),
            expires_at: credential.expires_at,
            mountpoint,
            old_pepper: has_old_pepper(credential, keys),
        }),
    }
}

fn check_minted<'a>(
    password: MintedPassword<'_>,
    holder: Option<&'a Holder>,
    keys: &Keyring,
) -> Result<(&'a Holder, &'a Credential), DenyReason> {
    let credential = holder.and_then(|holder| holder.token(password.id));
    let stored = match credential.map(|credential| &credential.kind) {
        Some(CredentialKind::Token { pepper, digest, .. }) => Some((*pepper, digest)),
        _ => None,
    };
    // An unknown name or token costs the same arithmetic as a known one.
    let (pepper, digest) = stored.unwrap_or((keys.pepper_id(), &[0; 32]));
    let presented = password.digest(pepper, keys);
    let right = presented.is_some_and(|presented| constant_time_eq(&presented, digest));
    match (holder, credential) {
        (None, _) => Err(DenyReason::UnknownUsername),
        (Some(_), None) => Err(DenyReason::UnknownCredential),
        (Some(_), Some(_)) if !right => Err(DenyReason::WrongPassword),
        (Some(holder), Some(credential)) => Ok((holder, credential)),
    }
}

fn check_password(
    right: bool,
    holder: Option<&Holder>,
) -> Result<(&Holder, &Credential), DenyReason> {
    let holder = holder.ok_or(DenyReason::UnknownUsername)?;
    let (credential, _) = holder.password().ok_or(DenyReason::WrongPassword)?;
    if right {
        Ok((holder, credential))
    } else {
        Err(DenyReason::WrongPassword)
    }
}

fn has_old_pepper(credential: &Credential, keys: &Keyring) -> bool {
    match &credential.kind {
        CredentialKind::Token { pepper, .. } => *pepper != keys.pepper_id(),
        CredentialKind::Password(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::holder::HolderIdentity;
    use crate::credential::minted_password::{Minted, mint};
    use crate::names::claims::Claims;
    use uuid::Uuid;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn credential(minted: &Minted, end: i64) -> Credential {
        let kind = CredentialKind::Token {
            id: minted.id,
            pepper: minted.pepper,
            digest: minted.digest,
        };
        Credential {
            kind,
            claims: Claims::default(),
            issued_at: at(0),
            expires_at: Some(at(end)),
            revoked_at: None,
        }
    }

    fn holder(credentials: Vec<Credential>) -> Holder {
        Holder {
            name: "u".parse().unwrap(),
            organization: OrganizationId::random(),
            identity: HolderIdentity::Subject {
                provider: Uuid::nil(),
                subject: "s".into(),
            },
            credentials,
        }
    }

    fn decide(minted: &Minted, holder: Option<&Holder>, keys: &Keyring, now: i64) -> DenyReason {
        let password = MintedPassword::verify(minted.password.expose(), keys).unwrap();
        match authenticate(Proof::Minted(password), holder, None, keys, at(now)) {
            Decision::Deny(reason) => reason,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn a_live_token_is_allowed_until_the_tick_of_its_expiry() {
        let keys = Keyring::random();
        let minted = mint(&keys);
        let holder = holder(vec![credential(&minted, 10)]);
        let password = MintedPassword::verify(minted.password.expose(), &keys).unwrap();
        let decision = authenticate(Proof::Minted(password), Some(&holder), None, &keys, at(9));
        let Decision::Allow(grant) = decision else {
            panic!("{decision:?}")
        };
        assert_eq!(grant.token, Some(minted.id));
        assert!(!grant.old_pepper);
        assert_eq!(
            decide(&minted, Some(&holder), &keys, 10),
            DenyReason::Expired
        );
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let keys = Keyring::random();
        let (minted, other) = (mint(&keys), mint(&keys));
        let theirs = holder(vec![credential(&other, 10)]);
        assert_eq!(decide(&minted, None, &keys, 0), DenyReason::UnknownUsername);
        assert_eq!(
            decide(&minted, Some(&theirs), &keys, 0),
            DenyReason::UnknownCredential
        );
        let mut mixed = credential(&other, 10);
        mixed.kind = CredentialKind::Token {
            id: minted.id,
            pepper: other.pepper,
            digest: other.digest,
        };
        assert_eq!(
            decide(&minted, Some(&holder(vec![mixed])), &keys, 0),
            DenyReason::WrongPassword
        );
        let mut ours = holder(vec![credential(&minted, 10)]);
        ours.revoke(|_| true, at(1));
        assert_eq!(decide(&minted, Some(&ours), &keys, 2), DenyReason::Revoked);
    }

    #[test]
    fn a_human_password_does_not_open_a_minted_login() {
        let keys = Keyring::random();
        let holder = holder(vec![credential(&mint(&keys), 10)]);
        for proof in [Proof::Password { right: true }, Proof::ApiKey] {
            let decision = authenticate(proof, Some(&holder), None, &keys, at(0));
            assert!(matches!(decision, Decision::Deny(_)), "{proof:?}");
        }
    }
}
