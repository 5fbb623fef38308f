//! PUBLISH, SUBSCRIBE and "is this login still good": questions about a client that is connected.

use std::sync::Arc;

use crate::acl::rule::Acl;
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
        Ok(match self.live_holder(broker, &request.peer).await? {
            Ok(_) => Decision::Allow(()),
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
        let holder = match self.live_holder(broker, &request.peer).await? {
            Ok(holder) => holder,
            Err(refused) => return Ok(refused.into()),
        };
        let Some(policy) = self.policy_of(&holder).await? else {
            return Ok(Decision::Deny(DenyReason::NoRule));
        };
        let asker = asker(&holder, &request.peer, policy.acl(), broker);
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
        let each = |decision: Decision<TopicGrant>| vec![decision; request.filters.len()];
        let holder = match self.live_holder(broker, &request.peer).await? {
            Ok(holder) => holder,
            Err(refused) => return Ok(each(refused.into())),
        };
        let Some(policy) = self.policy_of(&holder).await? else {
            return Ok(each(Decision::Deny(DenyReason::NoRule)));
        };
        let asker = asker(&holder, &request.peer, policy.acl(), broker);
        let decide = |filter| authorize_subscribe(asker, filter, request.names);
        Ok(request.filters.iter().map(decide).collect())
    }

    async fn live_holder(
        &self,
        broker: &BrokerConnection,
        peer: &Peer<'_>,
    ) -> Result<Result<Arc<Holder>, Refused>, StoreError> {
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
        if let Err(reason) = broker
            .isolation
            .admits(&organization, compartment, &broker.home)
        {
            return Ok(Err(Refused::Deny(reason)));
        }
        let username = Username {
            local: username.local,
            organization,
        };
        let holder = port::read::<Holder>(&*self.store, &username).await?;
        let live = is_live(holder.as_deref(), self.now()).map(drop);
        Ok(match (live, holder) {
            (Ok(()), Some(holder)) => Ok(holder),
            (Err(reason), _) => Err(Refused::Deny(reason)),
            (Ok(()), None) => Err(Refused::Deny(DenyReason::UnknownUsername)),
        })
    }

    async fn policy_of(&self, holder: &Holder) -> Result<Option<Arc<Policy>>, StoreError> {
        port::read::<Policy>(&*self.store, &holder.organization).await
    }
}

fn asker<'a>(
    holder: &'a Holder,
    peer: &'a Peer<'_>,
    acl: &'a Acl,
    broker: &'a BrokerConnection,
) -> Asker<'a> {
    Asker {
        holder,
        client_id: &peer.client_id,
        acl,
        isolation: &broker.isolation,
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
