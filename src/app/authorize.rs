//! PUBLISH, SUBSCRIBE and "is this login still good": questions about a client that is connected.

use std::sync::Arc;

use crate::app::App;
use crate::credential::holder::Holder;
use crate::engine::authorize::{Asker, authorize_publish, authorize_subscribe, is_live};
use crate::engine::decision::{Decision, DenyReason, TopicGrant};
use crate::hooks::connection::{BrokerConnection, ForeignNames};
use crate::mqtt::request::{Peer, PublishRequest, SessionRequest, SubscribeRequest};
use crate::names::username::{PresentedUsername, Username};
use crate::store::port::{self, StoreError};
use crate::store::record::Policy;

/// Why a client may not go on.
enum Refused {
    Deny(DenyReason),
    Abstain,
}

impl App {
    /// Decides whether a client's login is still good.
    ///
    /// # Errors
    /// We could not decide.
    pub async fn session(
        &self,
        broker: &BrokerConnection,
        request: &SessionRequest<'_>,
    ) -> Result<Decision<()>, StoreError> {
        Ok(match self.admitted(broker, &request.peer).await? {
            Ok(username) => match self.live_holder(&username).await? {
                Ok(_) => Decision::Allow(()),
                Err(reason) => Decision::Deny(reason),
            },
            Err(refused) => refused.into(),
        })
    }

    /// Decides a PUBLISH.
    ///
    /// # Errors
    /// We could not decide.
    pub async fn authorize_publish(
        &self,
        broker: &BrokerConnection,
        request: &PublishRequest<'_>,
    ) -> Result<Decision<TopicGrant>, StoreError> {
        let (policy, holder) = match self.rules_and_holder(broker, &request.peer).await? {
            Ok(found) => found,
            Err(refused) => return Ok(refused.into()),
        };
        let asker = self.asker(&holder, &request.peer, &policy, broker);
        Ok(authorize_publish(asker, request))
    }

    /// Decides every filter of a SUBSCRIBE, in order.
    ///
    /// # Errors
    /// We could not decide.
    pub async fn authorize_subscribe(
        &self,
        broker: &BrokerConnection,
        request: &SubscribeRequest<'_>,
    ) -> Result<Vec<Decision<TopicGrant>>, StoreError> {
        let (policy, holder) = match self.rules_and_holder(broker, &request.peer).await? {
            Ok(found) => found,
            Err(refused) => return Ok(vec![refused.into(); request.filters.len()]),
        };
        let asker = self.asker(&holder, &request.peer, &policy, broker);
        Ok(authorize_subscribe(asker, request))
    }

    /// What a topic decision needs. The holder is read last, with nothing to wait for behind it:
    /// a revoke that returns before it is seen.
    async fn rules_and_holder(
        &self,
        broker: &BrokerConnection,
        peer: &Peer<'_>,
    ) -> Result<Result<(Arc<Policy>, Arc<Holder>), Refused>, StoreError> {
        let username = match self.admitted(broker, peer).await? {
            Ok(username) => username,
            Err(refused) => return Ok(Err(refused)),
        };
        let policy = port::read::<Policy>(&*self.store, &username.organization).await?;
        let holder = self.live_holder(&username).await?;
        Ok(match (policy, holder) {
            (Some(policy), Ok(holder)) => Ok((policy, holder)),
            (_, Err(reason)) => Err(Refused::Deny(reason)),
            (None, Ok(_)) => Err(Refused::Deny(DenyReason::NoRule)),
        })
    }

    /// The username of a session, where it may be on this broker at all.
    async fn admitted(
        &self,
        broker: &BrokerConnection,
        peer: &Peer<'_>,
    ) -> Result<Result<Username, Refused>, StoreError> {
        let Some(username) = &peer.username else {
            return Ok(Err(Refused::Deny(DenyReason::NoUsername)));
        };
        let Ok(username) = username.parse::<PresentedUsername>() else {
            return Ok(Err(match broker.foreign_names {
                ForeignNames::Deny => Refused::Deny(DenyReason::MalformedUsername),
                ForeignNames::Abstain => Refused::Abstain,
            }));
        };
        let Some(organization) = self.organization_id(username.organization).await? else {
            return Ok(Err(Refused::Deny(DenyReason::UnknownUsername)));
        };
        let compartment = peer.compartment.as_deref();
        let isolation = &broker.isolation;
        let place = isolation.admits(&organization, compartment, &broker.home);
        let admitted =
            place.and_then(|()| isolation.admits_client_id(&organization, &peer.client_id));
        Ok(match admitted {
            Ok(()) => Ok(Username {
                local: username.local,
                organization,
            }),
            Err(reason) => Err(Refused::Deny(reason)),
        })
    }

    async fn live_holder(
        &self,
        username: &Username,
    ) -> Result<Result<Arc<Holder>, DenyReason>, StoreError> {
        let holder = port::read::<Holder>(&*self.store, username).await?;
        let Some(holder) = holder else {
            return Ok(Err(DenyReason::UnknownUsername));
        };
        Ok(is_live(&holder, self.now()).map(|()| holder))
    }

    fn asker<'a>(
        &self,
        holder: &'a Holder,
        peer: &'a Peer<'_>,
        policy: &'a Policy,
        broker: &'a BrokerConnection,
    ) -> Asker<'a> {
        let (acl, isolation) = (policy.acl(), &broker.isolation);
        Asker {
            holder,
            client_id: &peer.client_id,
            acl,
            isolation,
            now: self.now(),
        }
    }
}

impl<G> From<Refused> for Decision<G> {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Deny(reason) => Decision::Deny(reason),
            Refused::Abstain => Decision::Abstain,
        }
    }
}
