//! Whether a CONNECT is who it says it is.

use jiff::Timestamp;

use crate::credential::holder::{Credential, CredentialKind, Standing};
use crate::credential::minted_password::MintedPassword;
use crate::engine::decision::{Decision, DenyReason, Grant};
use crate::engine::member::Member;
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

/// What a password is of.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// Whose.
    pub member: Member<'a>,
    /// Which credential.
    pub credential: &'a Credential,
    /// Whether no later password has replaced it.
    pub is_newest: bool,
}

/// Decides a CONNECT. `member` is whom the username names, if it names anybody.
pub fn authenticate(
    proof: Proof<'_>,
    member: Option<Member<'_>>,
    client_id: &str,
    mountpoint: Option<OrganizationId>,
    keys: &Keyring,
    now: Timestamp,
) -> Decision<Grant> {
    let found = match proof {
        Proof::Minted(password) => check_minted(password, member, keys, now),
        Proof::Password { right } => check_password(right, member),
        Proof::ApiKey => Err(DenyReason::UnknownCredential),
    };
    let Shown {
        member,
        credential,
        is_newest,
    } = match found {
        Ok(found) => found,
        Err(reason) => return Decision::Deny(reason),
    };
    match member.standing(credential, now) {
        Standing::Live if !credential.fits_client(client_id) => {
            Decision::Deny(DenyReason::ForeignClientId)
        }
        Standing::Revoked => Decision::Deny(DenyReason::Revoked),
        Standing::Expired => Decision::Deny(DenyReason::Expired),
        Standing::Live => Decision::Allow(Grant {
            username: member.holder.username(),
            token: credential.token_id(),
            expires_at: credential.expires_at,
            mountpoint,
            rules: None,
            // An earlier password must not take the place of the one that has replaced it.
            old_pepper: is_newest && has_old_pepper(credential, keys),
        }),
    }
}

/// Whose credential a minted password is of, live or not. An earlier password of a token counts
/// until its grace is over.
///
/// # Errors
/// Why it is of none.
pub fn check_minted<'a>(
    password: MintedPassword<'_>,
    member: Option<Member<'a>>,
    keys: &Keyring,
    now: Timestamp,
) -> Result<Shown<'a>, DenyReason> {
    let credential = member.and_then(|member| member.holder.token(password.id));
    let stored = match credential.map(|credential| &credential.kind) {
        Some(CredentialKind::Token { pepper, digest, .. }) => Some((*pepper, digest)),
        _ => None,
    };
    // An unknown name or token costs the same arithmetic as a known one.
    let (pepper, digest) = stored.unwrap_or((keys.pepper_id(), &[0; 32]));
    let presented = password.digest(pepper, keys);
    let is_newest = presented.is_some_and(|presented| constant_time_eq(&presented, digest));
    let right = is_newest || credential.is_some_and(|one| is_earlier(password, one, keys, now));
    match (member, credential) {
        (None, _) => Err(DenyReason::UnknownUsername),
        (Some(_), None) => Err(DenyReason::UnknownCredential),
        (Some(_), Some(_)) if !right => Err(DenyReason::WrongPassword),
        (Some(member), Some(credential)) => Ok(Shown {
            member,
            credential,
            is_newest,
        }),
    }
}

fn is_earlier(
    password: MintedPassword<'_>,
    credential: &Credential,
    keys: &Keyring,
    now: Timestamp,
) -> bool {
    let terms = credential.terms.as_ref();
    let earlier = terms.map_or(&[][..], |terms| &terms.earlier);
    let good = earlier.iter().filter(|one| one.until > now);
    good.into_iter().any(|one| {
        let presented = password.digest(one.pepper, keys);
        presented.is_some_and(|presented| constant_time_eq(&presented, &one.digest))
    })
}

fn check_password(right: bool, member: Option<Member<'_>>) -> Result<Shown<'_>, DenyReason> {
    let member = member.ok_or(DenyReason::UnknownUsername)?;
    let (credential, _) = member.holder.password().ok_or(DenyReason::WrongPassword)?;
    if right {
        Ok(Shown {
            member,
            credential,
            is_newest: true,
        })
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
    use uuid::Uuid;

    use super::*;
    use crate::credential::holder::{Holder, HolderIdentity};
    use crate::credential::minted_password::{Minted, mint};
    use crate::engine::member::live_member;
    use crate::limits::counts::OrganizationLimits;
    use crate::names::claims::Claims;
    use crate::names::marks::Marks;
    use crate::org::organization::{Organization, TokenLife, TokenRules};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn organization() -> Organization {
        Organization {
            id: OrganizationId::random(),
            alias: Uuid::nil(),
            name: "demo".into(),
            token_life: TokenLife::default(),
            allowed_origins: vec![],
            providers: vec![],
            retired_prefixes: vec![],
            created_at: at(0),
            token_rules: TokenRules::default(),
            limits: OrganizationLimits::default(),
            service_keys: Vec::new(),
            marks: Marks::default(),
        }
    }

    fn credential(minted: &Minted, end: i64) -> Credential {
        Credential {
            kind: CredentialKind::of(minted),
            claims: Claims::default(),
            issued_at: at(0),
            epoch: Marks::default().epoch,
            expires_at: Some(at(end)),
            revoked_at: None,
            terms: None,
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

    /// What is decided on a minted password; the error is the reason for a refusal.
    fn decide(
        minted: &Minted,
        organization: Option<&Organization>,
        holder: Option<&Holder>,
        keys: &Keyring,
        now: i64,
    ) -> Result<Grant, DenyReason> {
        let password = MintedPassword::verify(minted.password.expose(), keys).unwrap();
        let member = Member::of(organization, holder);
        match authenticate(Proof::Minted(password), member, "c", None, keys, at(now)) {
            Decision::Allow(grant) => Ok(grant),
            Decision::Deny(reason) => Err(reason),
            Decision::Abstain => panic!("nobody else decides on a minted password"),
        }
    }

    #[test]
    fn a_live_token_is_allowed_until_the_tick_of_its_expiry() {
        let (keys, demo) = (Keyring::random(), organization());
        let minted = mint(&keys);
        let holder = holder(vec![credential(&minted, 10)]);
        let decide = |now| decide(&minted, Some(&demo), Some(&holder), &keys, now);
        let grant = decide(9).unwrap();
        assert_eq!(grant.token, Some(minted.id));
        assert!(!grant.old_pepper);
        assert_eq!(decide(10), Err(DenyReason::Expired));
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let (keys, demo) = (Keyring::random(), organization());
        let (minted, other) = (mint(&keys), mint(&keys));
        let refusal = |holder: Option<&Holder>, now| {
            decide(&minted, Some(&demo), holder, &keys, now).unwrap_err()
        };
        let theirs = holder(vec![credential(&other, 10)]);
        assert_eq!(refusal(None, 0), DenyReason::UnknownUsername);
        assert_eq!(refusal(Some(&theirs), 0), DenyReason::UnknownCredential);
        let mut mixed = credential(&other, 10);
        mixed.kind = CredentialKind::Token {
            id: minted.id,
            pepper: other.pepper,
            digest: other.digest,
        };
        let mixed = holder(vec![mixed]);
        assert_eq!(refusal(Some(&mixed), 0), DenyReason::WrongPassword);
        let mut ours = holder(vec![credential(&minted, 10)]);
        let gone = decide(&minted, None, Some(&ours), &keys, 0);
        assert_eq!(gone, Err(DenyReason::UnknownUsername), "no organization");
        ours.revoke(|_| true, at(1));
        assert_eq!(refusal(Some(&ours), 2), DenyReason::Revoked);
    }

    #[test]
    fn what_is_older_than_a_mark_is_revoked_for_every_question() {
        let keys = Keyring::random();
        let (minted, later) = (mint(&keys), mint(&keys));
        let mut demo = organization();
        demo.marks.revoke_all();
        let mut holder = holder(vec![credential(&minted, 10)]);
        let refused = decide(&minted, Some(&demo), Some(&holder), &keys, 1);
        assert_eq!(refused, Err(DenyReason::Revoked));
        let live = |holder: &Holder, demo: &Organization| {
            live_member(Some(demo), Some(holder), "c", at(1)).map(drop)
        };
        assert_eq!(live(&holder, &demo), Err(DenyReason::Revoked));
        let mut newer = credential(&later, 10);
        newer.epoch = demo.marks.epoch;
        newer.claims.insert("role", "guest");
        holder.credentials.push(newer);
        assert!(decide(&later, Some(&demo), Some(&holder), &keys, 1).is_ok());
        assert_eq!(live(&holder, &demo), Ok(()));
        let member = Member::of(Some(&demo), Some(&holder)).unwrap();
        assert_eq!(member.claims("c", at(1)).get("role"), Some("guest"));

        demo.marks.revoke_issued_before(at(1));
        let refused = decide(&later, Some(&demo), Some(&holder), &keys, 1);
        assert_eq!(refused, Err(DenyReason::Revoked));
        assert_eq!(live(&holder, &demo), Err(DenyReason::Revoked));
    }

    #[test]
    fn a_human_password_does_not_open_a_minted_login() {
        let (keys, demo) = (Keyring::random(), organization());
        let holder = holder(vec![credential(&mint(&keys), 10)]);
        for proof in [Proof::Password { right: true }, Proof::ApiKey] {
            let member = Member::of(Some(&demo), Some(&holder));
            let decision = authenticate(proof, member, "c", None, &keys, at(0));
            assert!(matches!(decision, Decision::Deny(_)), "{proof:?}");
        }
    }
}
