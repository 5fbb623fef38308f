//! A whole server in this process, on a free loopback port, with an organization that is set up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use ticketgate::app::App;
use ticketgate::app::audit;
use ticketgate::app::organizations::NewOrganization;
use ticketgate::app::providers::NewSupabase;
use ticketgate::clock::{Clock, ManualClock, SystemClock};
use ticketgate::credential::root_key::RootKeys;
use ticketgate::engine::isolation::Isolation;
use ticketgate::hooks::connection::{BrokerConnection, ForeignNames};
use ticketgate::hooks::dialect::{Dialect, DialectName, RulesInReply};
use ticketgate::hooks::mosquitto_go_auth::{self, ResponseMode};
use ticketgate::http::Settings;
use ticketgate::http::server::{self, Stopper};
use ticketgate::identity::{jwt, key_sets};
use ticketgate::keyring::Keyring;
use ticketgate::limits::limiter::{self, Limiter};
use ticketgate::metrics::Metrics;
use ticketgate::names::organization_id::{OrganizationId, OrganizationName};
use ticketgate::secret::Secret;
use ticketgate::store::cached::{self, Cached};
use ticketgate::store::embedded::Embedded;
use ticketgate::store::freshness::Freshness;
use ticketgate::store::port::Store;

pub const PROJECT_URL: &str = "https://demo.supabase.co";
pub const JWT_SECRET: &str = "a shared secret of more than 32 bytes";
pub const HOOK_SECRET: &str = "a-hook-secret-of-the-tests";
/// Good beside it, as in the middle of a rotation.
pub const OLD_HOOK_SECRET: &str = "the-hook-secret-before-it";
pub const ORIGIN: &str = "http://localhost:3000";

/// Everything as often as anybody likes.
pub const NO_LIMITS: limiter::Settings = limiter::Settings {
    key: None,
    organization: None,
    mint: None,
    failures: None,
    share_every: None,
};

/// Puts another store in front of the embedded one, below the cache.
pub type Wrap = Box<dyn FnOnce(Arc<dyn Store>) -> Arc<dyn Store>>;

/// What a world is like. `World::start().await` takes the defaults.
pub struct Plan {
    /// The organization's topic rules.
    pub policy: Value,
    /// `None`: the system's clock.
    pub clock: Option<Timestamp>,
    pub settings: Settings,
    /// Isolation of both broker connections; `None`: dedicated to the organization.
    pub isolation: Option<Isolation>,
    pub foreign_names: ForeignNames,
    pub wrap: Option<Wrap>,
    /// Puts another store in front of the cache.
    pub front: Option<Wrap>,
    /// How the keys of identity providers are fetched.
    pub key_sets: key_sets::Settings,
    /// The operator's root keys.
    pub root_keys: RootKeys,
    /// How often what may be done. Off, so that only tests of limits meet them.
    pub limits: limiter::Settings,
    pub audit: audit::Settings,
}

/// A running server and what is known about it. It stops when this is dropped.
pub struct World {
    /// `http://127.0.0.1:<port>`
    pub url: String,
    pub organization: OrganizationId,
    /// The organization's UUID.
    pub alias: String,
    pub app: Arc<App>,
    /// The store as the use cases have it.
    pub store: Arc<dyn Store>,
    pub metrics: Arc<Metrics>,
    /// Where the plan asked for a manual clock.
    pub clock: Option<Arc<ManualClock>>,
    pub http: reqwest::Client,
    stopper: Option<Stopper>,
    thread: Option<JoinHandle<()>>,
    folder: TempDir,
}

/// A minted login.
#[derive(Debug, Clone)]
pub struct Login {
    pub username: String,
    pub password: String,
    pub token_id: String,
    /// The whole reply.
    pub reply: Value,
}

impl Default for Plan {
    fn default() -> Self {
        let bind = "127.0.0.1:0".parse().unwrap();
        let own = json!({"user": "*", "topic": "users/{username}/#", "permission": "both"});
        let news = json!({"user": "*", "topic": "announcements/#", "permission": "subscribe"});
        Self {
            policy: json!({ "rules": [own, news] }),
            clock: None,
            settings: Settings {
                bind,
                workers: 1,
                ..Settings::default()
            },
            isolation: None,
            foreign_names: ForeignNames::Deny,
            wrap: None,
            front: None,
            key_sets: key_sets::Settings::default(),
            root_keys: RootKeys::default(),
            limits: NO_LIMITS,
            audit: audit::Settings::default(),
        }
    }
}

impl World {
    pub async fn start() -> Self {
        Self::with(Plan::default()).await
    }

    pub async fn with(plan: Plan) -> Self {
        let folder = TempDir::new().unwrap();
        let metrics = Arc::new(Metrics::new());
        let manual = plan.clock.map(|at| Arc::new(ManualClock::at(at)));
        let clock: Arc<dyn Clock> = match &manual {
            Some(manual) => Arc::clone(manual) as Arc<dyn Clock>,
            None => Arc::new(SystemClock),
        };
        let store = open_store(folder.path(), &clock, &metrics);
        let store = match plan.wrap {
            Some(wrap) => wrap(store),
            None => store,
        };
        let cache = cached::Settings::default();
        let store = Cached::new(
            store,
            &cache,
            Arc::new(Freshness::alone()),
            Arc::clone(&clock),
            Arc::clone(&metrics),
        );
        let store: Arc<dyn Store> = match plan.front {
            Some(front) => front(Arc::new(store)),
            None => Arc::new(store),
        };
        let keys = Arc::new(Keyring::random());
        let limiter = Arc::new(Limiter::new(plan.limits, Arc::clone(&clock)));
        let app = App::new(Arc::clone(&store), keys, clock, Arc::clone(&metrics), 1);
        let app = app.with_limiter(limiter).with_key_sets(plan.key_sets);
        let app = Arc::new(app.with_root_keys(plan.root_keys).with_audit(plan.audit));
        let (organization, alias) = set_up(&app, &plan.policy).await;
        let isolation = plan
            .isolation
            .unwrap_or(Isolation::Dedicated(organization.clone()));
        let brokers = brokers(&isolation, plan.foreign_names);
        let socket = folder.path().join("admin.sock");
        let (url, stopper, thread) = serve(Arc::clone(&app), brokers, plan.settings, socket);
        Self {
            url,
            organization,
            alias,
            app,
            store,
            metrics,
            clock: manual,
            http: reqwest::Client::new(),
            stopper: Some(stopper),
            thread: Some(thread),
            folder,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock
            .as_ref()
            .map_or_else(|| SystemClock.now(), |clock| clock.now())
    }

    /// Good claims of a subject, for an hour.
    pub fn claims(&self, subject: &str) -> Value {
        let now = self.now().as_second();
        json!({
            "iss": format!("{PROJECT_URL}/auth/v1"),
            "aud": "authenticated",
            "sub": subject,
            "email": format!("{subject}@example.com"),
            "iat": now,
            "exp": now + 3600,
        })
    }

    /// A good identity token of a subject.
    pub fn identity_token(&self, subject: &str) -> String {
        sign(&self.claims(subject))
    }

    /// Exchanges a good identity token of the subject.
    pub async fn login(&self, subject: &str) -> Login {
        let body = json!({
            "organization_id": self.organization,
            "token": self.identity_token(subject),
        });
        let (status, reply) = self.exchange(&body).await;
        assert_eq!(status, 200, "{reply}");
        let text = |name: &str| reply[name].as_str().unwrap().to_owned();
        let username = text("mqtt_username");
        Login {
            username,
            password: text("mqtt_password"),
            token_id: text("token_id"),
            reply,
        }
    }

    /// `POST /v2/tokens/exchange` with nothing but a body.
    pub async fn exchange(&self, body: &Value) -> (u16, Value) {
        let url = format!("{}/v2/tokens/exchange", self.url);
        let reply = self.http.post(url).json(body).send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }

    /// The data folder, with the local socket in it.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    /// `POST /revoke` on the local socket.
    pub async fn revoke(&self, body: &Value) -> (u16, Value) {
        self.revoke_with(body.to_string()).await
    }

    /// The same with any body.
    pub async fn revoke_with(&self, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let socket = self.data().join("admin.sock");
        let local = reqwest::Client::builder().unix_socket(socket);
        let call = local.build().unwrap().post("http://localhost/revoke");
        let reply = call.body(body).send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }

    /// Asks as RabbitMQ does, by POST; returns status and body.
    pub async fn ask_rabbitmq(&self, hook: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let url = format!("{}/hooks/rabbitmq/main/{HOOK_SECRET}/{hook}", self.url);
        let reply = self.http.post(url).form(fields).send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    }

    /// Whether RabbitMQ would let this login in.
    pub async fn can_connect(&self, username: &str, password: &str) -> bool {
        let fields = [
            ("username", username),
            ("password", password),
            ("vhost", "/"),
            ("client_id", "test-client"),
        ];
        let (status, body) = self.ask_rabbitmq("user", &fields).await;
        assert_eq!(status, 200);
        assert!(body == "allow" || body == "deny", "{body}");
        body == "allow"
    }

    /// Asks as VerneMQ does; returns status and body.
    pub async fn ask_vernemq(&self, hook: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/hooks/vernemq/verne/{HOOK_SECRET}", self.url);
        let call = self.http.post(url).header("vernemq-hook", hook).json(body);
        let reply = call.send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let (Some(stopper), Some(thread)) = (self.stopper.take(), self.thread.take()) else {
            return;
        };
        // The test's own runtime may be the one that runs this, and cannot wait in a drop.
        let stopping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(stopper.stop());
        });
        stopping.join().unwrap();
        thread.join().unwrap();
    }
}

/// Signs claims with the project's secret.
pub fn sign(claims: &Value) -> String {
    jwt::sign_hs256(claims, &Secret::new(JWT_SECRET))
        .expose()
        .to_owned()
}

/// An embedded store in a folder.
pub fn open_store(folder: &Path, clock: &Arc<dyn Clock>, metrics: &Arc<Metrics>) -> Arc<dyn Store> {
    Arc::new(Embedded::create(folder, Arc::clone(clock), Arc::clone(metrics)).unwrap())
}

/// An organization with a policy and a provider; returns its id and its UUID.
pub async fn set_up(app: &App, policy: &Value) -> (OrganizationId, String) {
    let new = NewOrganization {
        name: "demo",
        preset: "blank",
        allowed_origins: vec![ORIGIN.parse().unwrap()],
    };
    let organization = app.create_organization(new).await.unwrap();
    let name = || OrganizationName::Id(organization.id.clone());
    app.set_policy(name(), policy.to_string()).await.unwrap();
    let supabase = NewSupabase {
        name: "demo",
        project_url: PROJECT_URL,
        jwt_secret: &Secret::new(JWT_SECRET),
        username_prefix: "user_",
    };
    app.add_supabase(name(), supabase).await.unwrap();
    (organization.id, organization.alias.to_string())
}

/// A broker connection with the tests' secret.
pub fn broker(
    name: &str,
    dialect: Dialect,
    isolation: &Isolation,
    foreign_names: ForeignNames,
) -> BrokerConnection {
    BrokerConnection {
        name: name.into(),
        home: dialect.name().home().into(),
        dialect,
        secrets: vec![Secret::new(HOOK_SECRET), Secret::new(OLD_HOOK_SECRET)],
        isolation: isolation.clone(),
        foreign_names,
    }
}

/// A connection for every dialect. It has the dialect's name, but for the two oldest; and
/// mosquitto-go-auth has one for each of its response modes.
fn brokers(isolation: &Isolation, foreign_names: ForeignNames) -> Vec<BrokerConnection> {
    let go_auth =
        |response_mode| Dialect::MosquittoGoAuth(mosquitto_go_auth::Settings { response_mode });
    let in_modes = [
        ("mosquitto-go-auth-json", go_auth(ResponseMode::Json)),
        ("mosquitto-go-auth-text", go_auth(ResponseMode::Text)),
    ];
    let name = |dialect: DialectName| match dialect {
        DialectName::RabbitMq => "main",
        DialectName::VerneMq => "verne",
        other => other.as_str(),
    };
    let with_rules = |dialect: DialectName| match dialect {
        DialectName::Emqx => Dialect::Emqx(RulesInReply::Sent),
        DialectName::Rmqtt => Dialect::Rmqtt(RulesInReply::Sent),
        other => other.with_defaults(),
    };
    let plain = DialectName::ALL.map(|dialect| (name(dialect), with_rules(dialect)));
    plain
        .into_iter()
        .chain(in_modes)
        .map(|(name, dialect)| broker(name, dialect, isolation, foreign_names))
        .collect()
}

/// Runs the server in a thread of its own, as the program does.
fn serve(
    app: Arc<App>,
    brokers: Vec<BrokerConnection>,
    settings: Settings,
    socket: PathBuf,
) -> (String, Stopper, JoinHandle<()>) {
    let (started, starting) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        server::run_event_loop(async move {
            let running = server::start(app, brokers, settings, Some(&socket)).unwrap();
            started.send((running.address, running.stopper())).unwrap();
            running.run().await.unwrap();
        });
    });
    let (address, stopper) = starting.recv().unwrap();
    (format!("http://{address}"), stopper, thread)
}
