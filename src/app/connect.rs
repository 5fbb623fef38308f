//! CONNECT: who is this, and is it allowed to be here?

use crate::app::App;
use crate::app::hashing::Attempt;
use crate::credential::holder::Holder;
use crate::credential::human_password::HumanPassword;
use crate::credential::minted_password::MintedPassword;
use crate::credential::presented::Presented;
use crate::engine::authenticate::{Proof, authenticate, check_minted};
use crate::engine::decision::{Decision, DenyReason, Grant};
use crate::engine::member::Member;
use crate::hooks::connection::{BrokerConnection, ForeignNames};
use crate::mqtt::request::ConnectRequest;
use crate::names::token_id::TokenId;
use crate::names::username::{PresentedUsername, SERVICE_NAME, Username};
use crate::org::organization::RefreshMode;
use crate::store::port::{self, Change, StoreError};
use crate::store::record::{Kept as _, TokenIndex};

/// How often a session is noted again because somebody else has changed the record meanwhile.
const NOTING_TRIES: usize = 4;

impl App {
    /// Decides a CONNECT.
    ///
    /// A forged password is refused before anything is looked up. A hit in the cache waits for
    /// nothing; a miss is one read of organization and holder at once.
    ///
    /// # Errors
    /// We could not decide.
    pub async fn connect(
        &self,
        broker: &BrokerConnection,
        request: &ConnectRequest<'_>,
    ) -> Result<Decision<Grant>, StoreError> {
        let Some(username) = &request.peer.username else {
            return Ok(Decision::Deny(DenyReason::NoUsername));
        };
        let Ok(username) = username.parse::<PresentedUsername>() else {
            return Ok(foreign_name(broker));
        };
        let Some(password) = &request.password else {
            return Ok(Decision::Deny(DenyReason::NoPassword));
        };
        let Ok(presented) = Presented::verify(password, &self.keys) else {
            return Ok(Decision::Deny(DenyReason::ForgedPassword));
        };
        let Some(organization) = self.organization_id(username.organization).await? else {
            return Ok(Decision::Deny(DenyReason::UnknownUsername));
        };
        let compartment = request.peer.compartment.as_deref();
        let isolation = &broker.isolation;
        let place = isolation.admits_connect(&organization, compartment, &broker.home);
        let admitted =
            place.and_then(|()| isolation.admits_client_id(&organization, &request.peer.client_id));
        if let Err(reason) = admitted {
            return Ok(Decision::Deny(reason));
        }
        let mountpoint = isolation.mountpoint(&organization);
        let username = Username {
            local: username.local,
            organization,
        };
        let (mut organization, mut holder) = self.named(&username).await?;
        let proof = match presented {
            Presented::Minted(password) => {
                let member = Member::of(organization.as_deref(), holder.as_deref());
                if !self.knows(member, password) {
                    // Its seal proves that this deployment made it: another node just now, perhaps.
                    port::reread::<Holder>(&*self.store, &username).await?;
                    (organization, holder) = self.named(&username).await?;
                }
                let member = Member::of(organization.as_deref(), holder.as_deref());
                if !self.knows(member, password)
                    && self.is_minted_for(&username, password.id).await?
                {
                    // That is written with the credential: what was read a moment ago is too old.
                    self.store.read_newer(&Holder::key(&username)).await?;
                    (organization, holder) = self.named(&username).await?;
                }
                Proof::Minted(password)
            }
            Presented::ApiKey(key) if username.local.as_str() == SERVICE_NAME => {
                let decision = self.connect_service(&key, &username, mountpoint).await?;
                return self.with_rules(broker, request, decision).await;
            }
            Presented::ApiKey(_) => Proof::ApiKey,
            Presented::Human(password) => {
                let attempt = Attempt {
                    username: &username,
                    address: request.address,
                    password,
                    holder: holder.as_ref(),
                };
                let right = self.is_right(attempt).await?;
                let hashed = holder;
                // Hashing takes its time, and a revoke may have returned in it.
                (organization, holder) = self.named(&username).await?;
                let same = password_of(holder.as_deref()) == password_of(hashed.as_deref());
                Proof::Password {
                    right: right && same,
                }
            }
        };
        let member = Member::of(organization.as_deref(), holder.as_deref());
        let client_id = &request.peer.client_id;
        let (keys, now) = (&self.keys, self.now());
        let mut decision = authenticate(proof, member, client_id, mountpoint, keys, now);
        if let (Decision::Allow(grant), Proof::Minted(password)) = (&decision, proof) {
            if grant.old_pepper {
                self.renew_digest(&grant.username, password);
            }
            let terms = holder
                .as_ref()
                .and_then(|one| one.token(password.id)?.terms.as_ref());
            if terms.is_some_and(|terms| terms.has_to_note(client_id))
                && !self.note_client(&username, password.id, client_id).await?
            {
                decision = Decision::Deny(DenyReason::ForeignClientId);
            }
        }
        if let (Decision::Deny(reason), Proof::Minted(_)) = (&decision, proof)
            && matches!(
                reason,
                DenyReason::WrongPassword | DenyReason::UnknownCredential
            )
            && holder.is_some()
        {
            self.login_failed(&username, request.address);
        }
        self.with_rules(broker, request, decision).await
    }

    /// Notes that a session of this client id is a narrower token's, on every node: its questions may
    /// come to any of them, and must not be answered with a wider right. Returns whether it can be.
    async fn note_client(
        &self,
        username: &Username,
        token: TokenId,
        client_id: &str,
    ) -> Result<bool, StoreError> {
        for _ in 0..NOTING_TRIES {
            let mut fits = false;
            let noted = port::update::<Holder, StoreError>(&*self.store, username, |current| {
                let mut holder = current.cloned();
                let credentials = holder.iter_mut().flat_map(|one| &mut one.credentials);
                let mut terms = credentials
                    .filter(|one| one.token_id() == Some(token))
                    .filter_map(|one| one.terms.as_deref_mut());
                let Some(terms) = terms.next() else {
                    return Ok(Change::Keep);
                };
                fits = !terms.has_to_note(client_id) || terms.note(client_id).is_ok();
                Ok(match holder {
                    // Written also where another node has just noted it: what is written is confirmed.
                    Some(holder) if fits => Change::Set(holder),
                    _ => Change::Keep,
                })
            })
            .await?;
            if !fits {
                return Ok(false);
            }
            match self
                .store
                .confirm(&Holder::key(username), noted.revision)
                .await
            {
                Err(StoreError::Conflict) => {}
                confirmed => return confirmed.map(|_| true),
            }
        }
        Err(StoreError::Conflict)
    }

    /// Adds the rules that go along with a login, for a broker that applies them itself.
    async fn with_rules(
        &self,
        broker: &BrokerConnection,
        request: &ConnectRequest<'_>,
        mut decision: Decision<Grant>,
    ) -> Result<Decision<Grant>, StoreError> {
        if let Decision::Allow(grant) = &mut decision
            && broker.dialect.takes_rules()
        {
            grant.rules = self.rules_to_take_along(broker, &request.peer).await?;
        }
        Ok(decision)
    }

    /// Whether the password needs no look at what another node may have written just now: its token
    /// is known and, where a refresh gives a token a new password, this one of its passwords too.
    fn knows(&self, member: Option<Member<'_>>, password: MintedPassword<'_>) -> bool {
        let Some(member) = member.filter(|member| member.holder.token(password.id).is_some())
        else {
            return false;
        };
        let rotates = member.organization.token_rules.refresh == RefreshMode::Rotate;
        !rotates || check_minted(password, Some(member), &self.keys, self.now()).is_ok()
    }

    /// Whether the token's index names this user.
    async fn is_minted_for(&self, name: &Username, token: TokenId) -> Result<bool, StoreError> {
        let index = port::read::<TokenIndex>(&*self.store, &token).await?;
        Ok(index.is_some_and(|index| index.username() == *name))
    }

    /// Replaces a digest that an old pepper guards, in the background: the login does not wait for
    /// it, and a failure only means that the next login tries again.
    fn renew_digest(&self, username: &Username, password: MintedPassword<'_>) {
        let newest = self.keys.pepper_id();
        let Some(renewed) = password.digest(newest, &self.keys) else {
            return;
        };
        let (username, token) = (username.clone(), password.id);
        self.renew_later(move |store| async move {
            port::update::<Holder, StoreError>(&*store, &username, |holder| {
                let Some(mut holder) = holder.cloned() else {
                    return Ok(Change::Keep);
                };
                let renewed = holder.renew_digest(token, newest, renewed);
                Ok(if renewed {
                    Change::Set(holder)
                } else {
                    Change::Keep
                })
            })
            .await
        });
    }
}

fn password_of(holder: Option<&Holder>) -> Option<&HumanPassword> {
    holder
        .and_then(Holder::password)
        .map(|(_, password)| password)
}

fn foreign_name(broker: &BrokerConnection) -> Decision<Grant> {
    match broker.foreign_names {
        ForeignNames::Deny => Decision::Deny(DenyReason::MalformedUsername),
        ForeignNames::Abstain => Decision::Abstain,
    }
}
