//! Who calls, beside the work that is done for them.

use std::cell::RefCell;

use tokio::task_local;
use uuid::Uuid;

use crate::names::organization_id::OrganizationId;
use crate::org::audit::Actor;
use crate::org::audit::text::Text;

task_local! {
    static CALLER: RefCell<Caller>;
}

/// Who calls, from where, in which call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who; [`Actor::Nobody`] until somebody has shown who they are.
    pub actor: Actor,
    /// In which organization, as soon as that is certain.
    pub organization: Option<OrganizationId>,
    /// The address, or words for no network.
    pub from: Option<Text>,
    /// What the caller is told as `X-Request-Id`.
    pub request_id: Option<Uuid>,
}

impl Caller {
    /// Somebody who has not shown who they are.
    pub fn unknown(from: Option<&str>, request_id: Uuid) -> Self {
        Self {
            actor: Actor::Nobody,
            organization: None,
            from: from.map(Text::new),
            request_id: Some(request_id),
        }
    }

    /// Whoever may open the local socket, or the store itself.
    pub fn operator(from: &str) -> Self {
        Self {
            actor: Actor::Operator,
            ..Self::unknown(Some(from), Uuid::now_v7())
        }
    }
}

/// Does the work for a caller.
pub async fn on_behalf<T>(caller: Caller, work: impl Future<Output = T>) -> T {
    CALLER.scope(RefCell::new(caller), work).await
}

/// From now on the call is somebody's: they have shown who they are. Without a call nothing happens.
pub fn identified(actor: Actor, organization: &OrganizationId) {
    let _ = CALLER.try_with(|caller| {
        let mut caller = caller.borrow_mut();
        if caller.actor != Actor::Operator {
            caller.actor = actor;
        }
        caller.organization = Some(organization.clone());
    });
}

/// The same of the operator's root key, which is of no organization.
pub fn identified_as_root() {
    let _ = CALLER.try_with(|caller| caller.borrow_mut().actor = Actor::RootKey);
}

/// The same of somebody who has shown no key: with one, it is the key's call.
pub fn identified_without_key(actor: Actor, organization: &OrganizationId) {
    if current().actor == Actor::Nobody {
        identified(actor, organization);
    }
}

/// From now on the call is about an organization that is there.
pub fn concerns(organization: &OrganizationId) {
    let _ = CALLER.try_with(|caller| {
        let organization = organization.clone();
        caller.borrow_mut().organization.get_or_insert(organization);
    });
}

/// Who calls; nobody where there is no call.
pub fn current() -> Caller {
    let nobody = Caller {
        actor: Actor::Nobody,
        organization: None,
        from: None,
        request_id: None,
    };
    CALLER
        .try_with(|caller| caller.borrow().clone())
        .unwrap_or(nobody)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_beside_each_other_keep_their_callers() {
        let ids = [OrganizationId::random(), OrganizationId::random()];
        let call = |id: OrganizationId| {
            let caller = Caller::unknown(Some("192.0.2.1"), Uuid::nil());
            on_behalf(caller, async move {
                assert_eq!(current().actor, Actor::Nobody);
                identified(Actor::RootKey, &id);
                tokio::task::yield_now().await;
                concerns(&OrganizationId::random());
                assert_eq!(current().organization, Some(id));
                assert_eq!(current().actor, Actor::RootKey);
            })
        };
        let [one, other] = ids.map(call);
        tokio::join!(one, other);
        assert_eq!(current().actor, Actor::Nobody);
    }

    #[tokio::test]
    async fn an_operator_stays_one() {
        on_behalf(Caller::operator("local socket"), async {
            identified(Actor::RootKey, &OrganizationId::random());
            assert_eq!(current().actor, Actor::Operator);
        })
        .await;
    }
}
