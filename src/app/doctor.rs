//! Doctor: a login of a minute for trying a broker out, with topics that its rules allow and refuse.

mod topics;

use jiff::{SignedDuration, Timestamp};
use tokio::try_join;
use uuid::Uuid;

use crate::acl::rule::Acl;
use crate::acl::template::{Piece, Placeholder, Template};
use crate::app::App;
use crate::app::doctor::topics::Bench;
use crate::app::tokens::ExchangeError;
use crate::credential::holder::{Credential, CredentialKind, Holder, HolderIdentity};
use crate::credential::minted_password;
use crate::engine::isolation::Isolation;
use crate::engine::member::Member;
use crate::hooks::connection::BrokerConnection;
use crate::names::base62;
use crate::names::claims::Claims;
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::names::token_id::TokenId;
use crate::names::username::{LocalName, Username};
use crate::org::organization::Organization;
use crate::secret::Secret;
use crate::store::port::{self, StoreError};
use crate::store::record::Policy;

/// How long a probe login lives, unless it is revoked before.
pub const LIFE: SignedDuration = SignedDuration::from_secs(60);

/// Random characters of a name: 71 bits, so that no name of anybody else is ever met.
const RANDOM_LENGTH: usize = 12;

/// A login for trying a broker out.
#[derive(Debug)]
pub struct Probe {
    /// The id of its token, by which it is revoked.
    pub token: TokenId,
    /// The MQTT username.
    pub username: Username,
    /// The MQTT password.
    pub password: Secret,
    /// The client ids that the topics are good for: one that acts, and one that listens where the
    /// rules treat both alike.
    pub client_ids: (String, Option<String>),
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// What its rules allow and refuse.
    pub topics: ProbeTopics,
}

/// What the rules of a probe login allow and refuse, as far as they do. Each was judged by the very
/// code that answers brokers, and holds whatever the broker tells of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ProbeTopics {
    /// May be published to.
    pub publish: Option<String>,
    /// May be published to and subscribed to.
    pub round_trip: Option<String>,
    /// A filter that may be subscribed to.
    pub subscribe: Option<String>,
    /// May be subscribed to, and not published to.
    pub listen: Option<String>,
    /// May not be published to.
    pub forbidden: Option<String>,
    /// Filters that may not be subscribed to, beside a narrower one that may.
    pub wider: Vec<Wider>,
}

/// An escalation: a filter that covers more than the one that is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wider {
    /// May be subscribed to.
    pub granted: String,
    /// May not, and covers it.
    pub asked: String,
}

/// Why there is no probe login.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No organization of that name.
    #[error("there is no such organization")]
    NoSuchOrganization,
    /// The connection serves several, and none was named.
    #[error("this broker serves several organizations; say for which to try it (--org)")]
    WhichOrganization,
    /// The connection serves another one.
    #[error("this broker connection serves another organization")]
    ForeignOrganization,
    /// It could not be stored.
    #[error(transparent)]
    Minting(#[from] ExchangeError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl App {
    /// Mints a login for trying a broker out. It is stored like any other, so it is decided on like
    /// any other; it ends within [`LIFE`].
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn mint_probe(
        &self,
        broker: &BrokerConnection,
        organization: Option<OrganizationName>,
    ) -> Result<Probe, ProbeError> {
        let id = self.probed_organization(broker, organization).await?;
        let organization = port::read::<Organization>(&*self.store, &id).await?;
        let organization = organization.ok_or(ProbeError::NoSuchOrganization)?;
        let policy = port::read::<Policy>(&*self.store, &id).await?;
        let nothing = Acl::default();
        let acl = policy.as_ref().map_or(&nothing, |policy| policy.acl());

        let username = Username {
            local: random_name(),
            organization: id,
        };
        let minted = minted_password::mint(&self.keys);
        let now = self.now();
        let expires_at = now + LIFE;
        let credential = Credential {
            kind: CredentialKind::of(&minted),
            claims: claims_for(acl),
            issued_at: now,
            epoch: organization.marks.epoch,
            expires_at: Some(expires_at),
            revoked_at: None,
            terms: None,
        };
        // A subject of no provider: unlike a user made by hand, its record ends with its login.
        let identity = HolderIdentity::Subject {
            provider: Uuid::nil(),
            subject: username.local.as_str().to_owned(),
        };
        let holder = Holder {
            name: username.local.clone(),
            organization: username.organization.clone(),
            identity,
            credentials: vec![credential],
        };
        let holding = async {
            let line = self.mint_line(&username, &holder.credentials[0], 0);
            let made = holder.clone();
            let created = port::create_audited(&*self.store, &username, made, line).await;
            created.map(drop).map_err(ExchangeError::from)
        };
        let indexing = self.index(minted.id, &username, expires_at);
        try_join!(indexing, holding)?;
        self.metrics.minted();
        tracing::info!(%username, broker = broker.name, "minted for ticketgate doctor");

        let member = Member {
            organization: &organization,
            holder: &holder,
        };
        let (client_ids, topics) = Bench::new(member, acl, broker, now).find();
        Ok(Probe {
            token: minted.id,
            username,
            password: minted.password,
            client_ids,
            expires_at,
            topics,
        })
    }

    async fn probed_organization(
        &self,
        broker: &BrokerConnection,
        named: Option<OrganizationName>,
    ) -> Result<OrganizationId, ProbeError> {
        let named = match named {
            Some(name) => {
                let id = self.organization_id(name).await?;
                Some(id.ok_or(ProbeError::NoSuchOrganization)?)
            }
            None => None,
        };
        match (&broker.isolation, named) {
            (Isolation::Dedicated(served), Some(named)) if *served != named => {
                Err(ProbeError::ForeignOrganization)
            }
            (Isolation::Dedicated(served), _) => Ok(served.clone()),
            (_, Some(named)) => Ok(named),
            (_, None) => Err(ProbeError::WhichOrganization),
        }
    }
}

fn random_name() -> LocalName {
    let name = format!("doctor-{}", base62::random(RANDOM_LENGTH));
    name.parse()
        .unwrap_or_else(|_| unreachable!("letters, digits and `-` are a name"))
}

/// A harmless random value for every claim that the rules use, so that they apply.
fn claims_for(acl: &Acl) -> Claims {
    let mut claims = Claims::default();
    for rule in acl.rules() {
        let Template::Pieces(pieces) = &rule.topic else {
            continue;
        };
        for piece in pieces {
            if let Piece::Placeholder(Placeholder::Claim(name)) = piece
                && claims.get(name).is_none()
            {
                claims.insert(name, &format!("doctor-{}", base62::random(RANDOM_LENGTH)));
            }
        }
    }
    claims
}
