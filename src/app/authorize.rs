//! PUBLISH, SUBSCRIBE and "is this login still good": questions about a client that is connected.

use std::sync::Arc;

use jiff::Timestamp;

use crate::acl::applied::AppliedRule;
use crate::app::App;
use crate::credential::holder::Holder;
use crate::engine::authorize::{Asker, applied_rules, authorize_publish, authorize_subscribe};
use crate::engine::decision::{Decision, DenyReason, TopicGrant};
use crate::engine::isolation::Isolation;
use crate::engine::member::{Member, live_member};
use crate::hooks::connection::{BrokerConnection, ForeignNames};
use crate::mqtt::request::{Peer, PublishRequest, SessionRequest, SubscribeRequest};
use crate::names::username::{PresentedUsername, SERVICE_NAME, Username};
use crate::org::organization::Organization;
use crate::store::port::{self, StoreError};
use crate::store::record::Policy;

/// Why a client may not go on.
enum Refused {
    Deny(DenyReason),
    Abstain,
}

/// What a topic decision leans on, as it stands at one moment.
struct Rules {
    organization: Option<Arc<Organization>>,
    policy: Option<Arc<Policy>>,
    holder: Option<Arc<Holder>>,
    /// The service user has no credentials of its own; its keys have been looked at.
    is_service: bool,
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
            Ok(username) if username.local.as_str() == SERVICE_NAME => {
                let live = self.service_member(&username.organization).await?;
                live.map_or_else(Decision::Deny, |_| Decision::Allow(()))
            }
            Ok(username) => {
                let (organization, holder) = self.named(&username).await?;
                let client_id = &request.peer.client_id;
                let (organization, holder) = (organization.as_deref(), holder.as_deref());
                let member = live_member(organization, holder, client_id, self.now());
                member.map_or_else(Decision::Deny, |_| Decision::Allow(()))
            }
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
        let rules = match self.rules(broker, &request.peer).await? {
            Ok(rules) => rules,
            Err(refused) => return Ok(refused.into()),
        };
        Ok(match rules.asker(&request.peer, broker, self.now()) {
            Ok(asker) => authorize_publish(asker, request),
            Err(reason) => Decision::Deny(reason),
        })
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
        let refused = |refused| vec![refused; request.filters.len()];
        let rules = match self.rules(broker, &request.peer).await? {
            Ok(rules) => rules,
            Err(reason) => return Ok(refused(reason.into())),
        };
        Ok(match rules.asker(&request.peer, broker, self.now()) {
            Ok(asker) => authorize_subscribe(asker, request),
            Err(reason) => refused(Decision::Deny(reason)),
        })
    }

    /// The rules of a client, for a broker that applies them itself. Where organizations share the
    /// broker there are none: only here their topics are told apart.
    pub(in crate::app) async fn rules_to_take_along(
        &self,
        broker: &BrokerConnection,
        peer: &Peer<'_>,
    ) -> Result<Option<Vec<AppliedRule>>, StoreError> {
        if !matches!(broker.isolation, Isolation::Dedicated(_)) {
            return Ok(None);
        }
        let Ok(rules) = self.rules(broker, peer).await? else {
            return Ok(None);
        };
        let asker = rules.asker(peer, broker, self.now());
        Ok(asker.ok().and_then(applied_rules))
    }

    async fn rules(
        &self,
        broker: &BrokerConnection,
        peer: &Peer<'_>,
    ) -> Result<Result<Rules, Refused>, StoreError> {
        let username = match self.admitted(broker, peer).await? {
            Ok(username) => username,
            Err(refused) => return Ok(Err(refused)),
        };
        let id = &username.organization;
        if username.local.as_str() == SERVICE_NAME {
            let policy = port::read::<Policy>(&*self.store, id).await?;
            return Ok(match self.service_member(id).await? {
                Ok((organization, holder)) => Ok(Rules {
                    organization: Some(organization),
                    policy,
                    holder: Some(Arc::new(holder)),
                    is_service: true,
                }),
                Err(reason) => Err(Refused::Deny(reason)),
            });
        }
        let (organization, policy, holder) =
            port::read_three::<Organization, Policy, Holder>(&*self.store, id, id, &username)
                .await?;
        Ok(Ok(Rules {
            organization,
            policy,
            holder,
            is_service: false,
        }))
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
}

impl Rules {
    /// Whoever asks, if it has a live login and there are rules for it.
    fn asker<'a>(
        &'a self,
        peer: &'a Peer<'_>,
        broker: &'a BrokerConnection,
        now: Timestamp,
    ) -> Result<Asker<'a>, DenyReason> {
        let (organization, holder) = (self.organization.as_deref(), self.holder.as_deref());
        let member = match self.is_service {
            true => Member::of(organization, holder).ok_or(DenyReason::UnknownUsername)?,
            false => live_member(organization, holder, &peer.client_id, now)?,
        };
        let policy = self.policy.as_ref().ok_or(DenyReason::NoRule)?;
        Ok(Asker {
            member,
            client_id: &peer.client_id,
            acl: policy.acl(),
            isolation: &broker.isolation,
            now,
        })
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
