//! Published JSON names, here and nowhere else.

pub mod audit;
pub mod keys;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::doctor::Probe;
use crate::app::inspect::{Inspected, Inspection};
use crate::app::providers::{ProviderChange, ProviderView};
use crate::app::revoke::Revoked;
use crate::app::revoke::target::Target;
use crate::app::tokens::MintedToken;
use crate::app::tokens::known::KnownToken;
use crate::app::tokens::list::{TokenEntry, TokenPage};
use crate::credential::terms::Limits;
use crate::identity::key_sets::KeySetStatus;
use crate::org::claim_path::ClaimPath;
use crate::org::organization::Organization;
use crate::org::provider::{Provider, ProviderKey};
use crate::secret::Secret;
use crate::store::list::ListPlace;
use crate::store::status::{SharedStatus, Status};

/// The body of every error.
#[derive(Debug, Serialize)]
pub struct ErrorBody<'a> {
    error: &'static str,
    error_description: &'a str,
    message: &'a str,
    detail: &'a str,
}

impl<'a> ErrorBody<'a> {
    /// One text under every name that a client reads.
    pub fn new(error: &'static str, text: &'a str) -> Self {
        Self {
            error,
            error_description: text,
            message: text,
            detail: text,
        }
    }
}

/// The body of `POST /v2/tokens/exchange`, in either published shape. Other fields are ignored:
/// clients send some that mean nothing here.
#[derive(Deserialize)]
pub struct ExchangeBody {
    /// The organization's id or UUID.
    pub organization_id: Option<String>,
    /// The provider's product or name.
    pub provider: Option<String>,
    /// The provider's id.
    #[serde(deserialize_with = "provider_id", default)]
    pub integration_id: Option<Uuid>,
    /// The identity token.
    #[serde(deserialize_with = "secret", default)]
    pub token: Option<Secret>,
    /// The life asked for, in seconds.
    pub ttl: Option<u64>,
    /// The only MQTT client id that may use the token.
    pub client_id: Option<String>,
}

/// The body of `POST /v2/tokens/create`, `/v2/tokens` and `/v1/create`. Other fields are ignored.
#[derive(Deserialize)]
pub struct CreateBody {
    /// The organization's id or UUID.
    pub organization_id: Option<String>,
    /// For whom, by an address.
    pub user_email: Option<String>,
    /// For whom, by an id of the caller's own.
    pub user_id: Option<String>,
    /// A provider's id.
    #[serde(deserialize_with = "provider_id", default)]
    pub integration_id: Option<Uuid>,
    /// Whether the user's other tokens are over.
    pub replace_existing: Option<bool>,
    /// The life asked for, in seconds.
    pub ttl: Option<u64>,
    /// The only MQTT client id that may use it.
    pub client_id: Option<String>,
    /// What it may do: `publish`, `subscribe`.
    pub permissions: Option<Vec<String>>,
    /// The only topics that it may use.
    pub topics: Option<Vec<String>>,
}

/// The body of `POST /v2/tokens/refresh`.
#[derive(Deserialize)]
pub struct RefreshBody {
    /// Which token.
    pub token_id: Option<String>,
    /// Its password.
    #[serde(deserialize_with = "secret", default)]
    pub current_token_password: Option<Secret>,
}

/// The body of `POST /v2/tokens/revoke`: what is revoked, in one of the ways that there are.
#[derive(Deserialize)]
pub struct RevokeTokensBody {
    /// The organization's id or UUID.
    pub organization_id: Option<String>,
    /// One token.
    pub token_id: Option<String>,
    /// Its password, which is all the permission that its owner needs.
    #[serde(deserialize_with = "secret", default)]
    pub current_token_password: Option<Secret>,
    /// Everything of a username.
    pub username: Option<String>,
    /// Everything of somebody by an address.
    pub user_email: Option<String>,
    /// Everything of somebody by an id: the caller's own or, with `provider`, that provider's.
    pub user_id: Option<String>,
    /// The provider's name or id.
    pub provider: Option<String>,
}

/// The reply of `GET /v2/tokens`.
#[derive(Serialize)]
pub struct TokensReply {
    tokens: Vec<TokenReply>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct TokenReply {
    token_id: String,
    mqtt_username: String,
    user_id: String,
    user_email: Option<String>,
    provider: Option<&'static str>,
    status: &'static str,
    issued_at: String,
    expires_at: String,
    refreshed_at: Option<String>,
    client_id: Option<String>,
    permissions: Vec<&'static str>,
    topics: Option<Vec<String>>,
}

impl TokensReply {
    /// Of a page.
    pub fn new(page: TokenPage) -> Self {
        Self {
            tokens: page.tokens.into_iter().map(TokenReply::from).collect(),
            next_cursor: page.next.map(|next| cursor_text(&next)),
        }
    }
}

impl From<TokenEntry> for TokenReply {
    fn from(entry: TokenEntry) -> Self {
        Self {
            token_id: entry.id.to_string(),
            mqtt_username: entry.username.to_string(),
            user_id: entry.subject,
            user_email: entry.email,
            provider: entry.provider,
            status: if entry.is_revoked {
                "revoked"
            } else {
                "active"
            },
            issued_at: whole_seconds(entry.issued_at),
            expires_at: whole_seconds(entry.expires_at),
            refreshed_at: entry.refreshed_at.map(whole_seconds),
            client_id: entry.client_id,
            permissions: permissions(entry.limits.as_ref()),
            topics: entry.limits.and_then(|limits| limits.topics),
        }
    }
}

/// What a right allows, in the words of the wire.
pub fn permissions(limits: Option<&Limits>) -> Vec<&'static str> {
    let (publish, subscribe) =
        limits.map_or((true, true), |limits| (limits.publish, limits.subscribe));
    let words = [(publish, "publish"), (subscribe, "subscribe")];
    let words = words.into_iter().filter(|(allowed, _)| *allowed);
    words.map(|(_, word)| word).collect()
}

/// A place in a list, as a text without a meaning for others.
pub fn cursor_text(place: &ListPlace) -> String {
    let text = format!("{} {} {}", place.shard, place.order, place.name);
    URL_SAFE_NO_PAD.encode(text)
}

/// Reads it back; `None`: it is none.
pub fn cursor(text: &str) -> Option<ListPlace> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let mut parts = text.splitn(3, ' ');
    Some(ListPlace {
        shard: parts.next()?.parse().ok()?,
        order: parts.next()?.parse().ok()?,
        name: parts.next()?.to_owned(),
    })
}

/// The reply of `GET /v2/providers`.
#[derive(Serialize)]
pub struct EnabledProviders {
    providers: Vec<EnabledProvider>,
}

#[derive(Serialize)]
struct EnabledProvider {
    id: Uuid,
    integration_id: Uuid,
    name: String,
    provider: &'static str,
    r#type: &'static str,
    enabled: bool,
}

impl EnabledProviders {
    /// Those that are switched on.
    pub fn new(organization: &Organization) -> Self {
        let enabled = organization.providers.iter().filter(|one| one.enabled);
        let providers = enabled.map(|provider| EnabledProvider {
            id: provider.id,
            integration_id: provider.id,
            name: provider.name.clone(),
            provider: provider.kind.as_str(),
            r#type: provider.kind.as_str(),
            enabled: true,
        });
        Self {
            providers: providers.collect(),
        }
    }
}

/// The reply to an exchange: the fields of both published shapes.
#[derive(Serialize)]
pub struct ExchangeReply<'a> {
    mqtt_username: String,
    mqtt_password: &'a str,
    mqtt_credentials: MqttCredentials<'a>,
    access_token: &'a str,
    token_type: &'static str,
    token_id: String,
    provider: &'static str,
    user_id: &'a str,
    user_email: Option<&'a str>,
    expires_in: i64,
    expires_at: String,
    refresh_recommended_at: String,
    /// The words of the older calls; elsewhere left out.
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    older: Option<OlderReply<'a>>,
}

#[derive(Serialize)]
struct OlderReply<'a> {
    token: &'a str,
    token_password: &'a str,
    org_short_id: String,
}

#[derive(Serialize)]
struct MqttCredentials<'a> {
    username: String,
    password: &'a str,
}

impl<'a> ExchangeReply<'a> {
    /// The reply that hands out a token.
    pub fn new(token: &'a MintedToken) -> Self {
        let password = token.password.expose();
        Self {
            mqtt_username: token.username.to_string(),
            mqtt_password: password,
            mqtt_credentials: MqttCredentials {
                username: token.username.to_string(),
                password,
            },
            access_token: password,
            token_type: "Bearer",
            token_id: token.id.to_string(),
            provider: token.provider,
            user_id: &token.subject,
            user_email: token.email.as_deref(),
            expires_in: token.seconds_left(),
            expires_at: whole_seconds(token.expires_at),
            refresh_recommended_at: whole_seconds(token.refresh_recommended_at()),
            older: None,
        }
    }

    /// The same with what the older calls promise.
    pub fn with_older_words(token: &'a MintedToken) -> Self {
        let password = token.password.expose();
        let older = OlderReply {
            token: password,
            token_password: password,
            org_short_id: token.username.organization.to_string(),
        };
        Self {
            older: Some(older),
            ..Self::new(token)
        }
    }
}

/// The body of `POST /revoke` on the local socket. It says what to revoke in exactly one way:
/// `target`, or `subject` with `provider` and `organization`, or `issued_before` with `organization`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {
    /// A token id, a username, `key:<id of an API key>` or an organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What a provider calls somebody (`sub`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// That provider's name or id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The organization's id or UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// What was issued before this time is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_before: Option<String>,
}

/// The reply to a revoke.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RevokeReply {
    /// The token, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Whose credentials they were, if they were of one user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The id of the API key, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whose API key it was, or whose everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// Of that everything, what was issued before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_before: Option<String>,
    /// How many were live until now; none where nobody counted.
    pub revoked: Option<usize>,
    /// Who knows of it.
    pub nodes: RevokeNodes,
    /// The replicas that have it, where the settings ask for some.
    pub replicas: Option<usize>,
}

/// The nodes that may have served what was revoked.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RevokeNodes {
    /// All of them.
    pub total: usize,
    /// Those that said that they no longer do. The others cannot, having been silent for too long.
    pub confirmed: usize,
}

impl From<Revoked> for RevokeReply {
    fn from(revoked: Revoked) -> Self {
        let confirmation = revoked.confirmation;
        let mut reply = Self {
            revoked: revoked.credentials,
            nodes: RevokeNodes {
                total: confirmation.nodes,
                confirmed: confirmation.confirmed,
            },
            replicas: confirmation.replicas,
            ..Self::default()
        };
        match revoked.target {
            Target::Token { id, username } => {
                reply.token = Some(id.to_string());
                reply.username = Some(username.to_string());
            }
            Target::Username(username) | Target::Subject { username, .. } => {
                reply.username = Some(username.to_string());
            }
            Target::ApiKey { id, organization } => {
                reply.key = Some(id.to_string());
                reply.organization = Some(organization.to_string());
            }
            Target::Organization(organization) => {
                reply.organization = Some(organization.to_string());
            }
            Target::IssuedBefore { organization, time } => {
                reply.organization = Some(organization.to_string());
                reply.issued_before = Some(whole_seconds(time));
            }
        }
        reply
    }
}

/// The body of `POST /inspect` on the local socket.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InspectBody {
    /// A token id, a username, `key:<id of an API key>` or an organization.
    pub target: String,
}

/// What the store holds of something, and what this node would decide.
#[derive(Debug, Serialize, Deserialize)]
pub struct InspectReply {
    /// Each credential that was asked about.
    pub verdicts: Vec<VerdictReply>,
    /// The records that belong to it.
    pub records: Vec<InspectedReply>,
}

/// What would become of a credential now, if its password were right.
#[derive(Debug, Serialize, Deserialize)]
pub struct VerdictReply {
    /// Which one.
    pub credential: String,
    /// Whether it would be let in.
    pub allow: bool,
    /// Why.
    pub reason: String,
    /// When that changes by itself.
    pub until: Option<String>,
}

/// A record and where it lies.
#[derive(Debug, Serialize, Deserialize)]
pub struct InspectedReply {
    /// What it is called here.
    pub key: String,
    /// What the store calls it; null: there is none.
    pub name: Option<String>,
    /// When the store drops it by itself.
    pub expires_at: Option<String>,
    /// How long until then.
    pub ttl_seconds: Option<i64>,
    /// The part of a shared store that it lies in.
    pub shard: Option<usize>,
    /// Up to where this node has read that part's change log.
    pub log_position: Option<String>,
    /// Whether `record` is from this node's cache.
    pub cached: bool,
    /// What this node knows, without hashes and encrypted secrets.
    pub record: Option<serde_json::Value>,
}

impl InspectReply {
    /// As seen at `now`.
    pub fn new(inspection: Inspection, now: jiff::Timestamp) -> Self {
        let verdicts = inspection.verdicts.into_iter().map(|verdict| VerdictReply {
            credential: verdict.credential,
            allow: verdict.allow,
            reason: verdict.reason,
            until: verdict.until.map(whole_seconds),
        });
        let records = inspection.records.into_iter();
        Self {
            verdicts: verdicts.collect(),
            records: records.map(|one| InspectedReply::new(one, now)).collect(),
        }
    }
}

impl InspectedReply {
    fn new(inspected: Inspected, now: jiff::Timestamp) -> Self {
        let place = inspected.place;
        let end = place.as_ref().and_then(|place| place.expires_at);
        Self {
            key: inspected.key.to_string(),
            name: place.as_ref().map(|place| place.name.clone()),
            expires_at: end.map(whole_seconds),
            ttl_seconds: end.map(|end| end.as_second() - now.as_second()),
            shard: place.as_ref().and_then(|place| place.shard),
            log_position: place.and_then(|place| place.log_position),
            cached: inspected.cached,
            record: inspected.record.map(|record| record.redacted()),
        }
    }
}

/// The body of `POST /doctor/begin` on the local socket.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginBody {
    /// The broker connection to try out.
    pub connection: String,
    /// For which organization, where the connection serves several.
    pub organization: Option<String>,
}

/// A login for trying a broker out, and what its rules say.
#[derive(Serialize, Deserialize)]
pub struct BeginReply {
    /// The dialect of the connection, as the server runs it.
    pub dialect: String,
    /// The id of the login's token.
    pub token_id: String,
    /// The MQTT username.
    pub username: String,
    /// The MQTT password.
    pub password: String,
    /// The client id to act with.
    pub client_id: String,
    /// The client id to listen with at the same time, where the rules treat both alike.
    pub listener_id: Option<String>,
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
    /// Filters that may not be subscribed to.
    pub wider: Vec<WiderReply>,
    /// How many nodes answer brokers: this one sees its own share of the questions only.
    pub nodes: usize,
}

/// A filter that covers more than one that is granted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WiderReply {
    /// May be subscribed to.
    pub granted: String,
    /// May not.
    pub asked: String,
}

impl BeginReply {
    /// As sent.
    pub fn new(probe: Probe, dialect: &str, nodes: usize) -> Self {
        let topics = probe.topics;
        let wider = topics.wider.into_iter().map(|one| WiderReply {
            granted: one.granted,
            asked: one.asked,
        });
        Self {
            dialect: dialect.to_owned(),
            token_id: probe.token.to_string(),
            username: probe.username.to_string(),
            password: probe.password.expose().to_owned(),
            client_id: probe.client_ids.0,
            listener_id: probe.client_ids.1,
            publish: topics.publish,
            round_trip: topics.round_trip,
            subscribe: topics.subscribe,
            listen: topics.listen,
            forbidden: topics.forbidden,
            wider: wider.collect(),
            nodes,
        }
    }
}

/// The body of `POST /doctor/seen` and `POST /doctor/end` on the local socket.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchedBody {
    /// The probe login's username.
    pub username: String,
}

/// What brokers have asked since the last time.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SeenReply {
    /// About the login, in order.
    pub questions: Vec<SeenQuestion>,
    /// What could not be about anybody.
    pub strays: Vec<SeenStray>,
}

/// A question about the login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenQuestion {
    /// Of which broker connection.
    pub connection: String,
    /// `connect`, `session`, `publish` or `subscribe`.
    pub question: String,
    /// `GET` or `POST`.
    pub method: String,
    /// `allow`, `deny`, ...
    pub outcome: String,
    /// Why not.
    pub reason: Option<String>,
}

/// Requests that were refused before it was known whom they were about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenStray {
    /// `connection`, `secret`, `hook`, `malformed`, `not_mqtt` or `nothing`.
    pub what: String,
    /// How many.
    pub count: u32,
}

/// The body of `POST /doctor/pause` on the local socket.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseBody {
    /// The probe login's username.
    pub username: String,
    /// For how long questions about it are answered by a failure; 0: not any more.
    pub seconds: u32,
}

/// The reply of `/health/ready`.
#[derive(Debug, Serialize)]
pub struct ReadyReply {
    /// Whether the server can do its work.
    pub ready: bool,
    /// What is wrong, in words.
    pub problems: Vec<String>,
    /// How the store is doing; on the local socket only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreReply>,
}

/// How the store is doing, as this node sees it.
#[derive(Debug, Serialize)]
pub struct StoreReply {
    /// `embedded`, `redis`, `sentinel` or `cluster`.
    pub kind: &'static str,
    /// What is shared with other nodes.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedStoreReply>,
}

/// How this node follows what others change.
#[derive(Debug, Serialize)]
pub struct SharedStoreReply {
    /// This node's name in the registry.
    pub node: String,
    /// The server that it talks to, or null.
    pub server: Option<String>,
    /// What is wrong, or null.
    pub problem: Option<String>,
    /// How long the cache may serve after the log was read.
    pub lease_ms: u64,
    /// The nodes in the registry.
    pub nodes: usize,
    /// How many shards' leases are good.
    pub fresh_shards: usize,
    /// Every shard, in order.
    pub shards: Vec<ShardReply>,
}

/// How far one shard's change log was read.
#[derive(Debug, Serialize)]
pub struct ShardReply {
    /// The shard's number.
    pub shard: usize,
    /// The last entry that was read, or null.
    pub position: Option<String>,
    /// How long ago the log was read, or null.
    pub read_ms_ago: Option<u64>,
    /// Whether the cache may serve.
    pub fresh: bool,
}

impl From<Status> for StoreReply {
    fn from(status: Status) -> Self {
        Self {
            kind: status.kind,
            shared: status.shared.map(SharedStoreReply::from),
        }
    }
}

impl From<SharedStatus> for SharedStoreReply {
    fn from(status: SharedStatus) -> Self {
        let fresh_shards = status.shards.iter().filter(|shard| shard.fresh).count();
        let shards = status.shards.into_iter().enumerate();
        let shards = shards.map(|(number, shard)| ShardReply {
            shard: number,
            position: shard.position,
            read_ms_ago: shard.read_milliseconds_ago,
            fresh: shard.fresh,
        });
        Self {
            node: status.node,
            server: status.server,
            problem: status.problem,
            lease_ms: status.lease_milliseconds,
            nodes: status.nodes,
            fresh_shards,
            shards: shards.collect(),
        }
    }
}

/// The reply of `POST /oauth/token` (RFC 8693 section 2.2.1), with the login beside it.
#[derive(Serialize)]
pub struct OauthTokenReply<'a> {
    issued_token_type: &'static str,
    scope: String,
    #[serde(flatten)]
    token: ExchangeReply<'a>,
}

impl<'a> OauthTokenReply<'a> {
    /// Of a minted token.
    pub fn new(token: &'a MintedToken, issued_token_type: &'static str) -> Self {
        Self {
            issued_token_type,
            scope: permissions(token.limits.as_ref()).join(" "),
            token: ExchangeReply::new(token),
        }
    }
}

/// The reply of `POST /oauth/introspect` (RFC 7662 section 2.2).
#[derive(Default, Serialize)]
pub struct IntrospectReply {
    active: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    token: Option<ActiveToken>,
}

#[derive(Serialize)]
struct ActiveToken {
    scope: String,
    token_type: &'static str,
    username: String,
    sub: String,
    exp: i64,
    iat: i64,
    jti: String,
}

impl IntrospectReply {
    /// Of a live token.
    pub fn active(token: &KnownToken) -> Self {
        let active = || {
            let credential = token.credential()?;
            let limits = credential.terms.as_ref();
            let limits = limits.and_then(|terms| terms.limits.as_ref());
            Some(ActiveToken {
                scope: permissions(limits).join(" "),
                token_type: "Bearer",
                username: token.holder.username().to_string(),
                sub: token.subject().to_owned(),
                exp: credential.expires_at?.as_second(),
                iat: credential.issued_at.as_second(),
                jti: token.id.to_string(),
            })
        };
        let token = active();
        Self {
            active: token.is_some(),
            token,
        }
    }
}

/// The reply of `GET /.well-known/oauth-authorization-server` (RFC 8414 section 2).
#[derive(Serialize)]
pub struct MetadataReply {
    issuer: String,
    token_endpoint: String,
    token_endpoint_auth_methods_supported: [&'static str; 3],
    grant_types_supported: [&'static str; 1],
    response_types_supported: [&'static str; 0],
    scopes_supported: [&'static str; 2],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
}

impl MetadataReply {
    /// Of the server at this address.
    pub fn new(issuer: &str, grant_type: &'static str) -> Self {
        let [basic, post, none] = ["client_secret_basic", "client_secret_post", "none"];
        Self {
            issuer: issuer.to_owned(),
            token_endpoint: format!("{issuer}/oauth/token"),
            token_endpoint_auth_methods_supported: [basic, post, none],
            grant_types_supported: [grant_type],
            response_types_supported: [],
            scopes_supported: ["publish", "subscribe"],
            revocation_endpoint: format!("{issuer}/oauth/revoke"),
            revocation_endpoint_auth_methods_supported: [basic, post, none],
            introspection_endpoint: format!("{issuer}/oauth/introspect"),
            introspection_endpoint_auth_methods_supported: [basic, post],
        }
    }
}

/// RFC 3339 in UTC without fractions, which every client can read.
fn whole_seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A provider's id. Clients pass on any text, and one that is no id names no provider.
fn provider_id<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Uuid>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(|text| text.parse().unwrap_or(Uuid::nil())))
}

/// Reads a text that is a secret.
///
/// # Errors
/// When it is none.
pub fn secret<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
}

/// The body of `POST /providers` on the local socket.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvidersBody {
    /// The organization's id or UUID.
    pub organization: String,
    /// One provider's name or id; none: all of them.
    #[serde(default)]
    pub provider: Option<String>,
    /// What to do with it; nothing: only show.
    #[serde(default)]
    pub change: Option<ProviderChange>,
    /// Providers to add, as records; their secrets are sealed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<Provider>,
}

/// Providers, as the local socket shows them.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProvidersReply {
    /// The providers. After a change: how it is, or was, now.
    pub providers: Vec<ProviderReply>,
}

/// One provider.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProviderReply {
    /// The `integration_id`.
    pub id: Uuid,
    /// What its owner calls it.
    pub name: String,
    /// The product.
    pub kind: String,
    /// Whether new exchanges are accepted.
    pub enabled: bool,
    /// The exact `iss`.
    pub issuer: String,
    /// The accepted `aud`.
    pub audiences: Vec<String>,
    /// What its tokens are signed with.
    pub signed_with: Vec<String>,
    /// What usernames begin with.
    pub username_prefix: String,
    /// Whether an e-mail address is required.
    pub require_email: bool,
    /// Where topic rules find claims.
    pub claim_map: BTreeMap<String, ClaimPath>,
    /// What a token must say.
    pub required_claims: BTreeMap<ClaimPath, Option<String>>,
    /// The accepted `azp`.
    pub authorized_parties: Vec<String>,
    /// How its key set stands in this process; `None`: it has none, or nobody has needed it.
    pub key_set: Option<KeySetReply>,
}

/// How a key set stands.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeySetReply {
    /// `fresh`, `stale` or `missing`.
    pub state: String,
    /// `<kid> <algorithm>` of each key.
    pub keys: Vec<String>,
    /// How many published keys could not be used, by why.
    pub skipped: BTreeMap<String, usize>,
    /// When it was fetched.
    pub fetched_at: Option<Timestamp>,
    /// Until when it is used if no newer one comes.
    pub usable_until: Option<Timestamp>,
    /// What the last fetch failed with.
    pub error: Option<String>,
    /// How often it was fetched.
    pub fetches: u64,
    /// How often that failed.
    pub failures: u64,
}

impl ProviderReply {
    /// A provider with how its key set stands.
    pub fn new(view: ProviderView) -> Self {
        let ProviderView { provider, key_set } = view;
        let signed_with = provider.keys().map(|key| match key {
            ProviderKey::Hs256(_) => "HS256 with a shared secret".to_owned(),
            ProviderKey::Public { algorithm, .. } => format!("{algorithm} with a pasted key"),
            ProviderKey::KeySet { source, algorithms } => {
                let names: Vec<&str> = algorithms.iter().map(|one| one.as_str()).collect();
                format!("{} with the keys of {source}", names.join(", "))
            }
        });
        Self {
            id: provider.id,
            kind: provider.kind.as_str().to_owned(),
            enabled: provider.enabled,
            signed_with: signed_with.collect(),
            require_email: provider.require_email,
            key_set: key_set.map(KeySetReply::new),
            name: provider.name,
            issuer: provider.issuer,
            audiences: provider.audiences,
            username_prefix: provider.username_prefix,
            claim_map: provider.claim_map,
            required_claims: provider.required_claims,
            authorized_parties: provider.authorized_parties,
        }
    }
}

impl KeySetReply {
    fn new(status: KeySetStatus) -> Self {
        let keys = status.keys.into_iter().map(|(kid, algorithm)| {
            let kid = kid.unwrap_or_else(|| "(no kid)".to_owned());
            format!("{kid} {algorithm}")
        });
        let skipped = status.skipped.into_iter();
        Self {
            state: status.state.as_str().to_owned(),
            keys: keys.collect(),
            skipped: skipped
                .map(|(reason, count)| (reason.as_str().to_owned(), count))
                .collect(),
            fetched_at: status.fetched_at,
            usable_until: status.usable_until,
            error: status.error.map(|error| error.to_string()),
            fetches: status.fetches,
            failures: status.failures,
        }
    }
}
