//! Who calls the API: what a check has proved of a caller, and from where it calls.
//!
//! A [`Caller`] comes from a check and from nowhere else, so what takes one cannot be reached
//! without.

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use crate::app::App;
use crate::app::api_keys::KeyError;
use crate::app::audit;
use crate::credential::api_key::ApiKey;
use crate::credential::scope::Scope;
use crate::names::organization_id::OrganizationId;
use crate::names::origin::Origin;
use crate::secret::Secret;

/// From where a call comes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whence {
    /// The caller's address, in its plain form; `None`: nobody can tell.
    pub address: Option<IpAddr>,
    /// The web origin of the page that calls; `None`: no browser.
    pub origin: Option<Origin>,
    /// The id of this call, in its answer and in the logs.
    pub request_id: Uuid,
}

/// Who calls, and from where.
#[derive(Debug, Clone)]
pub struct Caller {
    who: Who,
    whence: Whence,
}

#[derive(Debug, Clone)]
enum Who {
    /// Whoever shows this key, which has been found good for the call.
    Key(Arc<ApiKey>),
    /// The operator.
    Root,
    /// Somebody who may prove in another way who it is, or need not.
    Anybody,
}

impl Caller {
    /// The API key that it shows; `None`: it shows none.
    pub fn key(&self) -> Option<&Arc<ApiKey>> {
        match &self.who {
            Who::Key(key) => Some(key),
            Who::Root | Who::Anybody => None,
        }
    }

    /// The organization of its key.
    pub fn organization(&self) -> Option<&OrganizationId> {
        self.key().map(|key| &key.organization)
    }

    /// Whether it is the operator.
    pub fn is_root(&self) -> bool {
        matches!(self.who, Who::Root)
    }

    /// From where it calls.
    pub fn whence(&self) -> &Whence {
        &self.whence
    }
}

impl App {
    /// Whoever shows a key that is good for this from there.
    ///
    /// # Errors
    /// [`KeyError`]. A forged key costs no lookup.
    pub async fn admit_key(
        &self,
        text: &Secret,
        scope: Scope,
        whence: Whence,
    ) -> Result<Caller, KeyError> {
        let key = self.check_key(text, scope, &whence).await?;
        let who = Who::Key(key);
        Ok(Caller { who, whence })
    }

    /// Whoever shows a root key.
    ///
    /// # Errors
    /// [`KeyError::NoRootKey`] where the deployment has none, [`KeyError::Invalid`] for any other.
    pub fn admit_root(&self, text: &Secret, whence: Whence) -> Result<Caller, KeyError> {
        if self.root_keys.is_empty() {
            return Err(KeyError::NoRootKey);
        }
        if !self.root_keys.has(text) {
            return Err(KeyError::Invalid);
        }
        audit::caller::identified_as_root();
        let who = Who::Root;
        Ok(Caller { who, whence })
    }

    /// Whoever calls what needs no key.
    pub fn admit_anybody(&self, whence: Whence) -> Caller {
        let who = Who::Anybody;
        Caller { who, whence }
    }
}
