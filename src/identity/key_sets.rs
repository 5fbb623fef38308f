//! The key sets of providers, kept in this process: fetched when a token needs one, again before
//! they are old or when a token names an unknown key, and kept for a while when a provider is down.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use uuid::Uuid;

use crate::clock::Clock;
use crate::identity::fetch::{FetchError, Fetched, Fetcher};
use crate::identity::jwk::{BadKeySet, KeySet, Skipped};
use crate::identity::jwt::VerificationKey;
use crate::metrics::{FetchLabel, KeySetLabel, Metrics};
use crate::org::provider::KeySource;
use crate::org::public_key::Algorithm;

/// The most providers whose sets are kept; the one that was used least lately goes.
const MAX_ENTRIES: usize = 4096;

/// How key sets are fetched and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether providers may have private addresses and, on loopback, plain http.
    pub allow_private_addresses: bool,
    /// How long a fetch may take.
    pub timeout: Duration,
    /// The shortest time between two fetches of one set, whatever tokens name.
    pub pause: Duration,
    /// The shortest time that a set is good for, whatever its sender says.
    pub min_age: Duration,
    /// The longest.
    pub max_age: Duration,
    /// How long the last good set is used when no newer can be fetched.
    pub max_stale: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow_private_addresses: false,
            timeout: Duration::from_secs(3),
            pause: Duration::from_secs(10),
            min_age: Duration::from_secs(60),
            max_age: Duration::from_secs(3600),
            max_stale: Duration::from_secs(6 * 3600),
        }
    }
}

/// Where the sender says nothing.
const USUAL_AGE: Duration = Duration::from_secs(300);

/// Whose keys are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The provider. Each has a set of its own: nobody can use up another's fetches.
    pub provider: Uuid,
    /// Where its keys are.
    pub source: &'a KeySource,
    /// What its tokens are signed with.
    pub algorithms: &'a BTreeSet<Algorithm>,
}

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    /// The provider does not publish one of that name.
    #[error("the provider does not publish such a key")]
    Unknown,
    /// It cannot be asked.
    #[error("the provider's keys cannot be fetched: {0}")]
    Unavailable(FetchError),
}

/// Every key set of the process.
pub struct KeySets {
    settings: Settings,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    fetcher: OnceLock<Result<Fetcher, FetchError>>,
    entries: Mutex<HashMap<Uuid, Arc<Entry>>>,
}

struct Entry {
    source: KeySource,
    algorithms: BTreeSet<Algorithm>,
    state: Mutex<State>,
    /// Counts the fetches that have ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    good: Option<Good>,
    in_flight: bool,
    tried_at: Option<Timestamp>,
    used_at: Option<Timestamp>,
    error: Option<FetchError>,
    fetches: u64,
    failures: u64,
}

#[derive(Clone)]
struct Good {
    set: Arc<KeySet>,
    fetched_at: Timestamp,
    age: SignedDuration,
}

/// How the key set of a provider stands in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySetStatus {
    /// Fresh, stale or missing.
    pub state: KeySetLabel,
    /// Names and algorithms of its keys.
    pub keys: Vec<(Option<String>, Algorithm)>,
    /// How many of the published keys could not be used, by why.
    pub skipped: BTreeMap<Skipped, usize>,
    /// When it was fetched.
    pub fetched_at: Option<Timestamp>,
    /// Until when it is used without a newer one.
    pub usable_until: Option<Timestamp>,
    /// What the last fetch failed with.
    pub error: Option<FetchError>,
    /// How often it was fetched.
    pub fetches: u64,
    /// How often that failed.
    pub failures: u64,
}

impl KeySets {
    /// None yet.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self {
            settings,
            clock,
            metrics,
            fetcher: OnceLock::new(),
            entries: Mutex::default(),
        }
    }

    /// The key of this name for this algorithm.
    ///
    /// # Errors
    /// [`NoKey`].
    pub async fn find(
        self: &Arc<Self>,
        wanted: Wanted<'_>,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerificationKey>, NoKey> {
        let entry = self.entry(wanted);
        let now = self.clock.now();
        let (known, is_old, is_ageing, is_failing) = {
            let mut state = entry.lock();
            state.used_at = Some(now);
            let good = state.usable(now, &self.settings);
            let known = good.and_then(|good| good.set.find(kid, algorithm).cloned());
            let is_failing = state.error.is_some();
            let (is_old, is_ageing) = (state.is_past(now, 1.0), state.is_past(now, 0.8));
            (known, is_old, is_ageing, is_failing)
        };
        if let Some(key) = known {
            if is_old && !is_failing {
                // A key that was taken back must not outlive its set, so this one waits.
                self.refresh(&entry, now).await;
                return entry.answer(kid, algorithm, self.clock.now(), &self.settings);
            }
            // While the provider is down nobody waits for what will fail again.
            if is_ageing {
                self.begin(&entry, now);
            }
            return Ok(key);
        }
        self.refresh(&entry, now).await;
        entry.answer(kid, algorithm, self.clock.now(), &self.settings)
    }

    /// How the set of a provider stands; `None`: it was not needed yet.
    pub fn status(&self, provider: Uuid) -> Option<KeySetStatus> {
        let entry = lock(&self.entries).get(&provider).cloned()?;
        let state = entry.lock();
        Some(state.status(self.clock.now(), &self.settings))
    }

    /// Forgets a provider that is gone.
    pub fn forget(&self, provider: Uuid) {
        lock(&self.entries).remove(&provider);
    }

    /// Counts the sets by how they stand.
    pub fn count(&self) {
        let entries: Vec<Arc<Entry>> = lock(&self.entries).values().cloned().collect();
        let now = self.clock.now();
        let states = entries
            .iter()
            .map(|entry| entry.lock().label(now, &self.settings));
        self.metrics.key_sets(states);
    }

    fn entry(&self, wanted: Wanted<'_>) -> Arc<Entry> {
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.get(&wanted.provider)
            && entry.source == *wanted.source
            && entry.algorithms == *wanted.algorithms
        {
            return Arc::clone(entry);
        }
        if entries.len() >= MAX_ENTRIES {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.lock().used_at);
            let oldest = oldest.map(|(provider, _)| *provider);
            entries.remove(&oldest.unwrap_or(wanted.provider));
        }
        let entry = Arc::new(Entry {
            source: wanted.source.clone(),
            algorithms: wanted.algorithms.clone(),
            state: Mutex::default(),
            ended: watch::Sender::new(0),
        });
        entries.insert(wanted.provider, Arc::clone(&entry));
        entry
    }

    /// Waits for a fetch: one that is going on, or a new one where enough time has passed.
    async fn refresh(self: &Arc<Self>, entry: &Arc<Entry>, now: Timestamp) {
        if let Some(mut ended) = self.begin(entry, now) {
            // It ends in time by itself; this is for an event loop that is shut down.
            let longest = self.settings.timeout + Duration::from_secs(1);
            let _ = tokio::time::timeout(longest, ended.changed()).await;
        }
    }

    /// Begins a fetch in the background, unless one is going on; `None`: it is too early.
    fn begin(self: &Arc<Self>, entry: &Arc<Entry>, now: Timestamp) -> Option<watch::Receiver<u64>> {
        let mut state = entry.lock();
        if state.in_flight {
            return Some(entry.ended.subscribe());
        }
        if state.paused(now, self.settings.pause) {
            return None;
        }
        state.in_flight = true;
        state.tried_at = Some(now);
        let ended = entry.ended.subscribe();
        drop(state);
        let flight = Flight(Arc::clone(entry));
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let fetched = this.fetch(&flight.0).await;
            this.keep(&flight.0, fetched);
        });
        Some(ended)
    }

    async fn fetch(&self, entry: &Entry) -> Result<Fetched, FetchError> {
        let fetcher = self.fetcher.get_or_init(|| {
            Fetcher::new(self.settings.allow_private_addresses, self.settings.timeout)
        });
        let fetcher = fetcher.as_ref().map_err(FetchError::clone)?;
        fetcher.fetch(&entry.source, &entry.algorithms).await
    }

    fn keep(&self, entry: &Entry, fetched: Result<Fetched, FetchError>) {
        let now = self.clock.now();
        let mut state = entry.lock();
        state.fetches += 1;
        // A slow failure is followed by a pause as well.
        state.tried_at = Some(now);
        match fetched {
            Ok(Fetched { set, max_age }) => {
                self.metrics.key_set_fetch(FetchLabel::Good);
                let age = max_age.unwrap_or(USUAL_AGE);
                let age = age.clamp(self.settings.min_age, self.settings.max_age);
                tracing::info!(keys = set.len(), source = %entry.source, "fetched a key set");
                state.error = None;
                state.good = Some(Good {
                    set: Arc::new(set),
                    fetched_at: now,
                    age: signed(age),
                });
            }
            Err(error) => {
                self.metrics.key_set_fetch(FetchLabel::Failed);
                state.failures += 1;
                if matches!(error, FetchError::KeySet(_, BadKeySet::Useless(_))) {
                    // The provider has taken back what it had published.
                    state.good = None;
                }
                tracing::warn!(%error, source = %entry.source, "a key set cannot be fetched");
                state.error = Some(error);
            }
        }
    }
}

/// A fetch that is going on. However it ends, others may begin the next one.
struct Flight(Arc<Entry>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.lock().in_flight = false;
        self.0.ended.send_modify(|count| *count += 1);
    }
}

impl Entry {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn answer(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: Timestamp,
        settings: &Settings,
    ) -> Result<Arc<VerificationKey>, NoKey> {
        let state = self.lock();
        let good = state.usable(now, settings);
        if let Some(key) = good.and_then(|good| good.set.find(kid, algorithm)) {
            return Ok(Arc::clone(key));
        }
        match (&state.error, good) {
            (None, Some(_)) => Err(NoKey::Unknown),
            (Some(error), _) => Err(NoKey::Unavailable(error.clone())),
            (None, None) => {
                let (KeySource::Url(url) | KeySource::Discovery(url)) = &self.source;
                Err(NoKey::Unavailable(FetchError::Timeout(url.clone())))
            }
        }
    }
}

impl State {
    fn usable(&self, now: Timestamp, settings: &Settings) -> Option<&Good> {
        let good = self.good.as_ref()?;
        (now < good.fetched_at + good.age.max(signed(settings.max_stale))).then_some(good)
    }

    /// Whether so much of the set's life is over. A clock that was put back makes it old too.
    fn is_past(&self, now: Timestamp, part: f64) -> bool {
        self.good.as_ref().is_none_or(|good| {
            let age = now.duration_since(good.fetched_at);
            age.is_negative() || age >= good.age.mul_f64(part)
        })
    }

    fn paused(&self, now: Timestamp, pause: Duration) -> bool {
        self.tried_at.is_some_and(|tried| {
            let since = now.duration_since(tried);
            !since.is_negative() && since < signed(pause)
        })
    }

    fn label(&self, now: Timestamp, settings: &Settings) -> KeySetLabel {
        match self.usable(now, settings) {
            None => KeySetLabel::Missing,
            Some(_) if self.is_past(now, 1.0) => KeySetLabel::Stale,
            Some(_) => KeySetLabel::Fresh,
        }
    }

    fn status(&self, now: Timestamp, settings: &Settings) -> KeySetStatus {
        let good = self.good.as_ref();
        let set = good.map(|good| &good.set);
        let names = set.into_iter().flat_map(|set| set.names());
        KeySetStatus {
            state: self.label(now, settings),
            keys: names
                .map(|(kid, algorithm)| (kid.map(str::to_owned), algorithm))
                .collect(),
            skipped: set.map(|set| set.skipped.clone()).unwrap_or_default(),
            fetched_at: good.map(|good| good.fetched_at),
            usable_until: good
                .map(|good| good.fetched_at + good.age.max(signed(settings.max_stale))),
            error: self.error.clone(),
            fetches: self.fetches,
            failures: self.failures,
        }
    }
}

fn signed(time: Duration) -> SignedDuration {
    SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}

/// A panic while the lock was held leaves nothing half done: each change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
