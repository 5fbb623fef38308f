//! RMQTT, put together from its own crates: what `rmqttd` is without clusters, storage, bridges and
//! the HTTP API, which take most of an hour to build. It reads `rmqtt.toml` as far as the file in
//! `broker-configs/rmqtt` goes.

use std::net::SocketAddr;

use rmqtt::Result;
use rmqtt::context::ServerContext;
use rmqtt::net::Builder;
use rmqtt::server::MqttServer;

#[tokio::main]
async fn main() -> Result<()> {
    env_logger::init();
    let path = std::env::args().nth(1).expect("the path of rmqtt.toml");
    let settings: toml::Table = std::fs::read_to_string(path)?.parse()?;
    let plugins = &settings["plugins"];
    let folder = plugins["dir"].as_str().expect("plugins.dir is a text");
    let context = ServerContext::new()
        .plugins_config_dir(folder)
        .build()
        .await;
    // As in `rmqttd`: this one always, the others when the file asks for them.
    rmqtt_acl::register(&context, true, true).await?;
    let wanted = plugins["default_startups"]
        .as_array()
        .expect("a list of plugins");
    for name in wanted.iter().filter_map(|name| name.as_str()) {
        match name {
            "rmqtt-auth-http" => rmqtt_auth_http::register(&context, true, false).await?,
            "rmqtt-shared-subscription" => {
                rmqtt_shared_subscription::register(&context, true, false).await?;
            }
            other => eprintln!("{other} is not part of this build"),
        }
    }
    let listener = &settings["listener"]["tcp"]["local"];
    let address: SocketAddr = listener["addr"].as_str().expect("an address").parse()?;
    let anonymous = listener["allow_anonymous"]
        .as_bool()
        .expect("true or false");
    let listener = Builder::new()
        .name("local/tcp")
        .laddr(address)
        // `rmqttd` has it on by default.
        .reuseaddr(Some(true))
        .allow_anonymous(anonymous);
    MqttServer::new(context)
        .listener(listener.bind()?.tcp()?)
        .build()
        .run()
        .await
}
