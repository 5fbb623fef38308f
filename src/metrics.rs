//! What the server counts. Labels are the closed sets below; callers convert into them, so this
//! module knows nobody. Nothing here can carry a name, a topic or a secret.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// A closed set of label values, with the text of each.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$about])* $variant,)*
        }

        impl $name {
            /// The text.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
                EncodeLabelValue::encode(&self.as_str(), encoder)
            }
        }
    };
}

labels! {
    /// Which hook dialect a question came in.
    DialectLabel {
        /// Azure Event Grid's custom webhook.
        AzureEventGrid => "azure-event-grid",
        /// BifroMQ's webhook.
        Bifromq => "bifromq",
        /// EMQX 5 and 6.
        Emqx => "emqx",
        /// EMQX 4.
        Emqx4 => "emqx4",
        /// mosquitto-auth-plug.
        MosquittoAuthPlug => "mosquitto-auth-plug",
        /// mosquitto-go-auth.
        MosquittoGoAuth => "mosquitto-go-auth",
        /// NanoMQ.
        Nanomq => "nanomq",
        /// RabbitMQ's HTTP backend.
        Rabbitmq => "rabbitmq",
        /// RMQTT.
        Rmqtt => "rmqtt",
        /// ThingsBoard's TBMQ.
        Tbmq => "tbmq",
        /// VerneMQ's webhooks.
        Vernemq => "vernemq",
    }
}

labels! {
    /// What was asked.
    QuestionLabel {
        /// CONNECT.
        Connect => "connect",
        /// Whether a login is still good.
        Session => "session",
        /// PUBLISH or a will.
        Publish => "publish",
        /// SUBSCRIBE.
        Subscribe => "subscribe",
        /// Nothing: the broker told of an event.
        Event => "event",
        /// It could not be read.
        Unreadable => "unreadable",
    }
}

labels! {
    /// How it ended.
    OutcomeLabel {
        /// Yes.
        Allow => "allow",
        /// No.
        Deny => "deny",
        /// Not ours.
        Abstain => "abstain",
        /// We could not decide.
        Unavailable => "unavailable",
        /// The question was malformed.
        Malformed => "malformed",
        /// The broker did not show its secret.
        Unauthorized => "unauthorized",
        /// Too many questions at a time.
        Overloaded => "overloaded",
        /// The handler panicked.
        Panicked => "panicked",
    }
}

labels! {
    /// Which kind of record was read or written.
    RecordLabel {
        /// An organization.
        Organization => "organization",
        /// The alias of an organization.
        Alias => "alias",
        /// A policy.
        Policy => "policy",
        /// Whom a username names.
        Holder => "holder",
        /// The index of a token.
        Token => "token",
        /// An API key.
        ApiKey => "api_key",
        /// A known web origin.
        Origin => "origin",
        /// When an API key was used last.
        KeyUse => "key_use",
        /// The list of imported API keys.
        LegacyKeys => "legacy_keys",
    }
}

labels! {
    /// What a shared store was asked.
    StoreCallLabel {
        /// For a record.
        Read => "read",
        /// To change one.
        Write => "write",
        /// For what others have changed.
        Log => "log",
        /// Whether others have heard of a change.
        Confirm => "confirm",
        /// What others have used of the limits.
        Limits => "limits",
    }
}

labels! {
    /// How a cache lookup ended.
    CacheLabel {
        /// Served from memory.
        Hit => "hit",
        /// Known not to exist, from memory.
        NegativeHit => "negative_hit",
        /// An entry was there, but it had been invalidated.
        Stale => "stale",
        /// Not there.
        Miss => "miss",
    }
}

labels! {
    /// How the key set of an identity provider stands.
    KeySetLabel {
        /// Good.
        Fresh => "fresh",
        /// Older than its sender says it is good for, and no newer one can be fetched.
        Stale => "stale",
        /// There is none that may be used.
        Missing => "missing",
    }
}

labels! {
    /// Which limit was reached.
    LimitLabel {
        /// The rate of an API key.
        Key => "key",
        /// The rate of an organization.
        Organization => "organization",
        /// The rate of new tokens of an organization.
        Mint => "mint",
        /// Failed calls from one address.
        Failures => "failures",
        /// Slow password hashes: of a pair that has failed often, or of all.
        Login => "login",
        /// Calls of the API at a time.
        InFlight => "in_flight",
    }
}

labels! {
    /// How fetching a key set ended.
    FetchLabel {
        /// With a set.
        Good => "good",
        /// Without.
        Failed => "failed",
    }
}

labels! {
    /// Which sort of entries of the audit log.
    TrailLabel {
        /// What an administrator does.
        Changes => "changes",
        /// What users do with their own tokens.
        Tokens => "tokens",
        /// What was not done.
        Refusals => "refusals",
        /// What brokers were answered.
        Decisions => "decisions",
    }
}

labels! {
    /// Why an entry is not in the audit log.
    AuditLossLabel {
        /// Too many wait to be written.
        QueueFull => "queue_full",
        /// Too many in this second.
        Rate => "rate",
        /// The store did not take it.
        Store => "store",
        /// It made room for newer ones before its time was up.
        Trimmed => "trimmed",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AuditLabels {
    trail: TrailLabel,
    reason: AuditLossLabel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeySetLabels {
    state: KeySetLabel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    kind: LimitLabel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    outcome: FetchLabel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HookLabels {
    dialect: DialectLabel,
    question: QuestionLabel,
    outcome: OutcomeLabel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RecordLabels {
    record: RecordLabel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreCallLabels {
    call: StoreCallLabel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShardLabels {
    shard: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    outcome: CacheLabel,
}

/// Every counter of one server. There is no global one: a test may run two servers.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    hooks: Family<HookLabels, Counter>,
    hook_seconds: Histogram,
    store_reads: Family<RecordLabels, Counter>,
    store_writes: Family<RecordLabels, Counter>,
    store_calls: Family<StoreCallLabels, Histogram>,
    leases_fresh: Gauge,
    nodes: Gauge,
    log_age: Family<ShardLabels, Gauge<f64, AtomicU64>>,
    log_position: Family<ShardLabels, Gauge>,
    cache: Family<CacheLabels, Counter>,
    minted: Counter,
    revoked: Counter,
    held_back: Counter,
    key_sets: Family<KeySetLabels, Gauge>,
    key_set_fetches: Family<FetchLabels, Counter>,
    hooks_in_flight: Gauge,
    limited: Family<LimitLabels, Counter>,
    api_in_flight: Gauge,
    audit_lost: Family<AuditLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Fresh counters, all zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("ticketgate");
        let hooks = Family::default();
        registry.register("hooks", "Answers to brokers", hooks.clone());
        let hook_seconds = Histogram::new(exponential_buckets(10e-6, 4.0, 10));
        registry.register(
            "hook_seconds",
            "Time to answer a broker",
            hook_seconds.clone(),
        );
        let store_reads = Family::default();
        registry.register(
            "store_reads",
            "Records read from the store",
            store_reads.clone(),
        );
        let store_writes = Family::default();
        registry.register(
            "store_writes",
            "Records written to the store",
            store_writes.clone(),
        );
        let store_calls = Family::new_with_constructor(call_times as fn() -> Histogram);
        registry.register(
            "store_seconds",
            "Time that a shared store took to answer, or to be given up",
            store_calls.clone(),
        );
        let leases_fresh = Gauge::default();
        registry.register(
            "store_leases_fresh",
            "Shards of a shared store whose records may be served from memory, of 64",
            leases_fresh.clone(),
        );
        let nodes = Gauge::default();
        registry.register("store_nodes", "Nodes in the registry", nodes.clone());
        let log_age = Family::default();
        registry.register(
            "store_log_age_seconds",
            "Time since a shard's change log was read",
            log_age.clone(),
        );
        let log_position = Family::default();
        registry.register(
            "store_log_position_milliseconds",
            "Unix time of the last entry read of a shard's change log",
            log_position.clone(),
        );
        let cache = Family::default();
        registry.register("cache_lookups", "Lookups in the cache", cache.clone());
        let minted = Counter::default();
        registry.register("tokens_minted", "Tokens minted", minted.clone());
        let revoked = Counter::default();
        registry.register(
            "credentials_revoked",
            "Credentials revoked",
            revoked.clone(),
        );
        let held_back = Counter::default();
        registry.register(
            "doctor_held_back",
            "Questions about a login of `ticketgate doctor` answered by a failure on its request",
            held_back.clone(),
        );
        let key_sets = Family::default();
        registry.register(
            "key_sets",
            "Key sets of identity providers that this process has needed",
            key_sets.clone(),
        );
        let key_set_fetches = Family::default();
        registry.register(
            "key_set_fetches",
            "Fetches of identity providers' key sets",
            key_set_fetches.clone(),
        );
        let hooks_in_flight = Gauge::default();
        registry.register(
            "hooks_in_flight",
            "Questions being answered",
            hooks_in_flight.clone(),
        );
        let limited = Family::default();
        registry.register(
            "limited",
            "Calls and logins refused because a limit was reached",
            limited.clone(),
        );
        let api_in_flight = Gauge::default();
        registry.register(
            "api_in_flight",
            "Calls of the API being answered",
            api_in_flight.clone(),
        );
        let audit_lost = Family::default();
        registry.register(
            "audit_entries_lost",
            "Entries that are not in the audit log, or not any more before their time was up",
            audit_lost.clone(),
        );
        Self {
            registry,
            hooks,
            hook_seconds,
            store_reads,
            store_writes,
            store_calls,
            leases_fresh,
            nodes,
            log_age,
            log_position,
            cache,
            minted,
            revoked,
            held_back,
            key_sets,
            key_set_fetches,
            hooks_in_flight,
            limited,
            api_in_flight,
            audit_lost,
        }
    }

    /// A broker's question was answered after `seconds`.
    pub fn hook(
        &self,
        dialect: DialectLabel,
        question: QuestionLabel,
        outcome: OutcomeLabel,
        seconds: f64,
    ) {
        self.hooks
            .get_or_create(&HookLabels {
                dialect,
                question,
                outcome,
            })
            .inc();
        self.hook_seconds.observe(seconds);
    }

    /// A record was read from the store itself.
    pub fn store_read(&self, record: RecordLabel) {
        self.store_reads
            .get_or_create(&RecordLabels { record })
            .inc();
    }

    /// A record was written or deleted.
    pub fn store_write(&self, record: RecordLabel) {
        self.store_writes
            .get_or_create(&RecordLabels { record })
            .inc();
    }

    /// A shared store was asked and answered, or was given up, after `seconds`.
    pub fn store_call(&self, call: StoreCallLabel, seconds: f64) {
        self.store_calls
            .get_or_create(&StoreCallLabels { call })
            .observe(seconds);
    }

    /// How a shared store stands: shards with a good lease, and nodes seen.
    pub fn shared_store(&self, leases_fresh: usize, nodes: usize) {
        self.leases_fresh.set(leases_fresh as i64);
        self.nodes.set(nodes as i64);
    }

    /// How long ago a shard's change log was read, and the id of the last entry (`<ms>-<number>`).
    pub fn log(&self, shard: usize, seconds_ago: Option<f64>, position: Option<&str>) {
        let labels = ShardLabels {
            shard: shard as u32,
        };
        if let Some(seconds) = seconds_ago {
            self.log_age.get_or_create(&labels).set(seconds);
        }
        let milliseconds = position.and_then(|position| position.split('-').next()?.parse().ok());
        if let Some(milliseconds) = milliseconds {
            self.log_position.get_or_create(&labels).set(milliseconds);
        }
    }

    /// The cache was asked.
    pub fn cache(&self, outcome: CacheLabel) {
        self.cache.get_or_create(&CacheLabels { outcome }).inc();
    }

    /// A question about a login of `ticketgate doctor` was answered by a failure on its request.
    pub fn held_back(&self) {
        self.held_back.inc();
    }

    /// Entries of the audit log were lost.
    pub fn audit_lost(&self, trail: TrailLabel, reason: AuditLossLabel, count: u64) {
        if count > 0 {
            let labels = AuditLabels { trail, reason };
            self.audit_lost.get_or_create(&labels).inc_by(count);
        }
    }

    /// Entries of the audit log made room for newer ones before their time was up.
    pub fn audit_trimmed(&self, trail: TrailLabel, count: u64) {
        self.audit_lost(trail, AuditLossLabel::Trimmed, count);
    }

    /// A token was minted.
    pub fn minted(&self) {
        self.minted.inc();
    }

    /// `count` credentials were revoked.
    pub fn revoked(&self, count: usize) {
        self.revoked.inc_by(count as u64);
    }

    /// How the key sets stand.
    pub fn key_sets(&self, states: impl Iterator<Item = KeySetLabel>) {
        let mut counts = [0; 3];
        states.for_each(|state| counts[state as usize] += 1);
        let all = [KeySetLabel::Fresh, KeySetLabel::Stale, KeySetLabel::Missing];
        for (state, count) in all.into_iter().zip(counts) {
            let labels = KeySetLabels { state };
            self.key_sets.get_or_create(&labels).set(count);
        }
    }

    /// A key set was asked for.
    pub fn key_set_fetch(&self, outcome: FetchLabel) {
        self.key_set_fetches
            .get_or_create(&FetchLabels { outcome })
            .inc();
    }

    /// Takes a place among the questions being answered; it is given back when dropped. `None`:
    /// `limit` of them are being answered already.
    pub fn enter_hook(&self, limit: i64) -> Option<InFlight<'_>> {
        let in_flight = InFlight(&self.hooks_in_flight);
        (self.hooks_in_flight.inc() < limit).then_some(in_flight)
    }

    /// Takes a place among the calls of the API being answered, to be given back by
    /// [`leave_api`](Self::leave_api); `false`: `limit` of them are being answered already.
    pub fn enter_api(&self, limit: i64) -> bool {
        let has_place = self.api_in_flight.inc() < limit;
        if !has_place {
            self.api_in_flight.dec();
        }
        has_place
    }

    /// A call of the API that had a place was answered.
    pub fn leave_api(&self) {
        self.api_in_flight.dec();
    }

    /// Something was refused because a limit was reached.
    pub fn limited(&self, kind: LimitLabel) {
        self.limited.get_or_create(&LimitLabels { kind }).inc();
    }

    /// How often that was because of this limit.
    pub fn limited_so_far(&self, kind: LimitLabel) -> u64 {
        self.limited.get_or_create(&LimitLabels { kind }).get()
    }

    /// How many records were read from the store itself.
    pub fn store_reads_so_far(&self, record: RecordLabel) -> u64 {
        self.store_reads
            .get_or_create(&RecordLabels { record })
            .get()
    }

    /// Everything in the text format that Prometheus reads (OpenMetrics).
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}

fn call_times() -> Histogram {
    Histogram::new(exponential_buckets(50e-6, 3.0, 10))
}

/// A question being answered.
#[derive(Debug)]
pub struct InFlight<'a>(&'a Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_rendered_under_their_names() {
        let metrics = Metrics::new();
        metrics.store_read(RecordLabel::Holder);
        let (dialect, question) = (DialectLabel::Rabbitmq, QuestionLabel::Connect);
        metrics.hook(dialect, question, OutcomeLabel::Allow, 0.001);
        let text = metrics.render();
        assert!(
            text.contains("ticketgate_store_reads_total{record=\"holder\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("ticketgate_hooks_total{dialect=\"rabbitmq\""),
            "{text}"
        );
    }

    #[test]
    fn places_are_limited_and_given_back() {
        let metrics = Metrics::new();
        let first = metrics.enter_hook(1);
        assert!(first.is_some());
        assert!(metrics.enter_hook(1).is_none());
        drop(first);
        assert!(metrics.enter_hook(1).is_some());
    }
}
