//! Passwords that people choose, and what keeps a flood of wrong ones from those who have the right one.
//!
//! A slow hash takes 20 ms of a core, so few run at a time and few wait. Whoever has shown the right
//! password to this process once does not need another: that is remembered here, also when the
//! cached record has gone. For all others
//! - a pair of username and address that has failed often waits, and nobody else does;
//! - one address has a few of the places to wait, and only one when it has failed too often, so a
//!   flood from one leaves room for others;
//! - where the broker does not say the address, one username has as many places. Nobody can tell the
//!   owner's first login from a guess there: each attempt has the chance that the flood leaves, and one
//!   that succeeds is the last that needs it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Semaphore;

use crate::app::App;
use crate::credential::holder::Holder;
use crate::credential::human_password::HumanPassword;
use crate::keyring::{Digest, Keyring};
use crate::limits::address::AddressGroup;
use crate::limits::attempts::{Attempts, Pair};
use crate::limits::whose::Whose;
use crate::metrics::LimitLabel;
use crate::names::username::Username;
use crate::secret::{SecretStr, constant_time_eq};
use crate::store::port::StoreError;

/// The most logins that wait for a slow hash or have one run.
const PLACES: usize = 16;
/// The most of them from one address, or for one username where the address is not known.
const PLACES_OF_ONE: usize = 4;
/// The most users whose password is remembered.
const MAX_PROVEN: usize = 65_536;

/// Slow hashes, and who waits for one.
pub(super) struct Hashing {
    /// Limits how many run at a time, so that logins cannot take every core.
    running: Arc<Semaphore>,
    /// Who has a place. At most [`PLACES`], so looking through all of them is quick.
    places: Mutex<Vec<Source>>,
    hasher: RandomState,
    proven: Mutex<HashMap<Username, Proven>>,
    attempts: Attempts,
    decoy: OnceLock<Arc<HumanPassword>>,
}

/// From where an attempt comes: an address, or else a username.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Source(u64);

/// A place that is given back when dropped.
struct Place<'a> {
    of: &'a Mutex<Vec<Source>>,
    source: Source,
}

/// The password that a user has shown, for as long as the stored hash is the same.
struct Proven {
    hash: Digest,
    password: Digest,
}

/// A login with a password that somebody chose.
pub(super) struct Attempt<'a> {
    pub username: &'a Username,
    pub address: Option<IpAddr>,
    pub password: &'a SecretStr<'a>,
    pub holder: Option<&'a Arc<Holder>>,
}

impl Hashing {
    /// As many may run at a time.
    pub fn new(at_a_time: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(at_a_time.max(1))),
            places: Mutex::default(),
            hasher: RandomState::new(),
            proven: Mutex::default(),
            attempts: Attempts::default(),
            decoy: OnceLock::new(),
        }
    }

    fn place(&self, source: Source, most: usize) -> Option<Place<'_>> {
        let mut places = locked(&self.places);
        let of_one = places.iter().filter(|one| **one == source).count();
        if places.len() >= PLACES || of_one >= most {
            return None;
        }
        places.push(source);
        let of = &self.places;
        Some(Place { of, source })
    }

    fn has_proven(&self, attempt: &Attempt<'_>, stored: &HumanPassword, keys: &Keyring) -> bool {
        let proven = locked(&self.proven);
        let Some(proven) = proven.get(attempt.username) else {
            return false;
        };
        let password = keys.process_digest(attempt.password.expose());
        proven.hash == stored.digest(keys) && constant_time_eq(&proven.password, &password)
    }

    fn note_proven(&self, attempt: &Attempt<'_>, stored: &HumanPassword, keys: &Keyring) {
        let mut all = locked(&self.proven);
        if all.len() >= MAX_PROVEN && !all.contains_key(attempt.username) {
            // Any of them: to know the oldest would cost more than its hash.
            let one = all.keys().next().cloned();
            one.and_then(|one| all.remove(&one));
        }
        let proven = Proven {
            hash: stored.digest(keys),
            password: keys.process_digest(attempt.password.expose()),
        };
        all.insert(attempt.username.clone(), proven);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = locked(self.of);
        if let Some(at) = places.iter().position(|one| *one == self.source) {
            places.swap_remove(at);
        }
    }
}

impl App {
    /// Whether a password that somebody chose is right. A name without one costs the same time.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`]: the pair has to wait, or too many do already.
    pub(super) async fn is_right(&self, attempt: Attempt<'_>) -> Result<bool, StoreError> {
        let stored = attempt.holder.and_then(|holder| holder.password());
        if let Some((_, stored)) = stored {
            if stored.remembers(attempt.password.expose(), &self.keys) == Some(true) {
                return Ok(true);
            }
            if self.hashing.has_proven(&attempt, stored, &self.keys) {
                stored.accept(attempt.password.expose(), &self.keys);
                return Ok(true);
            }
        }
        let pair = self.pair(attempt.username, attempt.address);
        if pair.is_some_and(|pair| self.hashing.attempts.wait(pair, self.now()) > 0) {
            self.metrics.limited(LimitLabel::Login);
            return Err(StoreError::Overloaded);
        }
        let right = self.hash(&attempt).await?;
        match stored.filter(|_| right) {
            Some((_, stored)) => {
                self.hashing.note_proven(&attempt, stored, &self.keys);
                if let Some(pair) = pair {
                    self.hashing.attempts.succeeded(pair);
                }
            }
            None => self.login_failed(attempt.username, attempt.address),
        }
        Ok(right)
    }

    /// Somebody has shown a wrong password there.
    pub(super) fn login_failed(&self, username: &Username, address: Option<IpAddr>) {
        if let Some(pair) = self.pair(username, address) {
            self.hashing.attempts.failed(pair, self.now());
        }
        if let Some(address) = address {
            let whose = Whose::Address(AddressGroup::of(address));
            self.limiter.charge(&whose, None);
        }
    }

    async fn hash(&self, attempt: &Attempt<'_>) -> Result<bool, StoreError> {
        let _place = self.take_place(attempt)?;
        let stored = attempt.holder.filter(|holder| holder.password().is_some());
        let known = stored.map(Arc::clone);
        let (keys, password) = (Arc::clone(&self.keys), attempt.password.to_secret());
        let decoy = self.hashing.decoy.get().map(Arc::clone);
        let permit = Arc::clone(&self.hashing.running).acquire_owned().await;
        let permit = permit.map_err(|_| StoreError::Overloaded)?;
        let hashed = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            match known.as_deref().and_then(Holder::password) {
                Some((_, stored)) => (stored.verify(&password, &keys), None),
                None => {
                    let decoy = decoy.unwrap_or_else(|| Arc::new(HumanPassword::decoy()));
                    decoy.verify(&password, &keys);
                    (false, Some(decoy))
                }
            }
        });
        let (right, decoy) = hashed.await.map_err(|error| {
            StoreError::Unavailable(format!("a password hash was not finished: {error}").into())
        })?;
        if let Some(decoy) = decoy {
            self.hashing.decoy.get_or_init(|| decoy);
        }
        Ok(right)
    }

    fn take_place(&self, attempt: &Attempt<'_>) -> Result<Place<'_>, StoreError> {
        let hasher = &self.hashing.hasher;
        let (source, most) = match attempt.address.map(AddressGroup::of) {
            Some(address) => {
                let spent = self.limiter.look(&Whose::Address(address), None).is_err();
                let most = if spent { 1 } else { PLACES_OF_ONE };
                (hasher.hash_one(address), most)
            }
            None => (hasher.hash_one(attempt.username), PLACES_OF_ONE),
        };
        let place = self.hashing.place(Source(source), most);
        place.ok_or_else(|| {
            self.metrics.limited(LimitLabel::Login);
            StoreError::Overloaded
        })
    }

    fn pair(&self, username: &Username, address: Option<IpAddr>) -> Option<Pair> {
        let attempts = &self.hashing.attempts;
        address.map(|address| attempts.pair(&username.to_string(), address))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
