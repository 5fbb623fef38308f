//! The server under test: the product's own assembly with one worker, plus the no-op routes.

use std::io::{Read as _, stderr, stdin};
use std::net::SocketAddr;

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{HttpResponse, rt};
use serde::{Deserialize, Serialize};
use ticketgate::config::{Config, LogSettings};
use ticketgate::credential::root_key::RootKeys;
use ticketgate::engine::isolation::Isolation;
use ticketgate::hooks::connection::{BrokerConnection, ForeignNames};
use ticketgate::hooks::dialect::Dialect;
use ticketgate::hooks::rabbitmq;
use ticketgate::http::server::{Stopper, run_event_loop};
use ticketgate::http::{self, routes};
use ticketgate::identity::key_sets;
use ticketgate::limits::limiter;
use ticketgate::names::organization_id::OrganizationId;
use ticketgate::secret::Secret;
use ticketgate::store::cached;
use ticketgate::wiring;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::place::Setup;
use crate::target::{Broker, HOOK_SECRET};

/// Where the server listens, a line on standard output.
#[derive(Serialize, Deserialize)]
pub struct Ready {
    /// The public address.
    pub address: SocketAddr,
}

/// Reads its [`Setup`] and serves until standard input ends.
pub fn run() -> anyhow::Result<()> {
    // The product's own level, so that what is logged below it costs what it costs there. A revoke
    // is logged above it, and the line is written like the product's.
    let filter = Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("actix_server", LevelFilter::WARN);
    tracing_subscriber::registry()
        .with(filter)
        .with(fmt::layer().json().with_writer(stderr))
        .init();
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    run_event_loop(serve(serde_json::from_str(&line)?))
}

async fn serve(setup: Setup) -> anyhow::Result<()> {
    let running = wiring::build_with_routes(config(&setup)?, routes)?;
    let ready = Ready {
        address: running.address(),
    };
    println!("{}", serde_json::to_string(&ready)?);
    stop_at_end_of_input(running.stopper());
    Ok(running.run().await?)
}

fn config(setup: &Setup) -> anyhow::Result<Config> {
    let organization = &setup.organization;
    Ok(Config {
        http: http::Settings {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            workers: 1,
            ..http::Settings::default()
        },
        store: setup.location.settings()?,
        cache: cached::Settings {
            capacity: setup.cache_capacity,
            // Nothing is to be loaded again during the longest run.
            max_age_seconds: 86_400,
            ..cached::Settings::default()
        },
        keys: setup.keyring()?,
        root_keys: RootKeys::default(),
        key_sets: key_sets::Settings::default(),
        audit: ticketgate::app::audit::Settings::default(),
        hashing: 1,
        limits: limiter::Settings {
            key: None,
            organization: None,
            failures: None,
            ..limiter::Settings::default()
        },
        local_socket: setup.local_socket.clone(),
        brokers: vec![
            connection("verne", Dialect::VerneMq, organization),
            connection("main", rabbitmq_dialect(), organization),
        ],
        log: LogSettings {
            json: false,
            filter: "info".into(),
        },
    })
}

fn rabbitmq_dialect() -> Dialect {
    Dialect::RabbitMq(rabbitmq::Settings::default())
}

fn connection(name: &str, dialect: Dialect, organization: &OrganizationId) -> BrokerConnection {
    BrokerConnection {
        name: name.into(),
        home: dialect.name().home().into(),
        dialect,
        secrets: vec![Secret::new(HOOK_SECRET)],
        isolation: Isolation::Dedicated(organization.clone()),
        foreign_names: ForeignNames::Deny,
    }
}

/// The no-ops come first, where the router finds them at once: the hooks pay for their place.
fn routes(services: &mut ServiceConfig) {
    services
        .route(Broker::Vernemq.noop_path(), web::post().to(noop_vernemq))
        .route(Broker::Rabbitmq.noop_path(), web::post().to(noop_rabbitmq));
    routes::public(services);
}

async fn noop_vernemq(_body: Bytes) -> HttpResponse {
    yes(Broker::Vernemq)
}

async fn noop_rabbitmq(_body: Bytes) -> HttpResponse {
    yes(Broker::Rabbitmq)
}

fn yes(broker: Broker) -> HttpResponse {
    let content_type = HeaderValue::from_static(broker.content_type());
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, content_type))
        .body(broker.yes())
}

/// However the driver ends, its end of the pipe closes.
fn stop_at_end_of_input(stopper: Stopper) {
    rt::spawn(async move {
        let input = rt::task::spawn_blocking(|| stdin().read_to_end(&mut Vec::new()));
        let _ = input.await;
        stopper.stop().await;
    });
}
