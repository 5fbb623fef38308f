//! EMQX 5 and 6: JSON to an authenticator and an authorizer, all values texts.

use serde_json::json;

use crate::cli::doctor::brokers::{Ask, Broker, Habits, Ill, Reading, Reply, Request, Session};

/// EMQX 5.3 to 6.x, with the body that `broker-configs` has.
pub static BROKER: Broker = Broker {
    ask,
    read,
    unknown_hook: |session| {
        Request::json("no-such-hook", &json!({ "clientid": session.client_id }))
    },
    habits: Habits {
        tells_of_refused_publish: false,
        shares: true,
        shipped_logins: &[("admin", "public")],
    },
    cure,
};

fn ask(session: &Session<'_>, ask: &Ask<'_>) -> Vec<Request> {
    let about = |action: &str, topic: &str| {
        let body = json!({
            "username": session.username,
            "clientid": session.client_id,
            "topic": topic,
            "action": action,
            "qos": "1",
            "retain": "false",
            "peerhost": "127.0.0.1",
            "mountpoint": session.compartment,
        });
        Request::json("acl", &body)
    };
    let request = match ask {
        Ask::Connect { named, password } => Request::json(
            "auth",
            &json!({
                "username": if *named { session.username } else { "" },
                "password": password.unwrap_or_default(),
                "clientid": session.client_id,
                "peerhost": "127.0.0.1",
            }),
        ),
        Ask::Publish(topic) => about("publish", topic),
        Ask::Subscribe(filter) => about("subscribe", filter),
    };
    vec![request]
}

/// Everything that is not a clear verdict is "ignore".
fn read(reply: &Reply) -> Reading {
    let result = reply.member("result");
    Reading::of_word(result.as_ref(), ["allow", "deny", "ignore"])
}

fn cure(ill: Ill) -> &'static str {
    match ill {
        Ill::DoesNotAsk => {
            "emqx.conf: authentication = [{ mechanism = password_based, backend = http, method = post, \
             url = \"HOOK_URL/auth\", ... }], at an address that the broker's machine reaches"
        }
        Ill::Connection | Ill::Secret | Ill::Path => {
            "emqx.conf: url = \"HOOK_URL/auth\" in authentication and url = \"HOOK_URL/acl\" in \
             authorization.sources"
        }
        Ill::Form => {
            "emqx.conf: body { username = \"${username}\", password = \"${password}\", clientid = \
             \"${clientid}\" } in authentication; username, clientid, topic, action, qos, retain in \
             authorization.sources"
        }
        Ill::Compartment => {
            "emqx.conf: the listener's mountpoint and `mountpoint` of this connection"
        }
        Ill::NotMqtt => "emqx.conf: body { ... } of authentication and of authorization.sources",
        Ill::Method => "emqx.conf: method = post",
        Ill::Anonymous => {
            "emqx.conf: authentication must not be empty, and no enable_authn = false on a listener"
        }
        Ill::OwnUsers => "emqx.conf: this authenticator alone in `authentication`",
        Ill::Topics => {
            "emqx.conf: authorization { no_match = deny, sources = [{ type = http, url = \
             \"HOOK_URL/acl\", ... }] }, without the file source that EMQX is shipped with"
        }
        Ill::Cache => {
            "emqx.conf: authorization.cache.enable = false, authentication_settings.node_cache.enable = \
             false, authorization.node_cache.enable = false"
        }
        Ill::FailsOpen => {
            "emqx.conf: authorization.no_match = deny, this authenticator alone in `authentication`"
        }
    }
}
