//! Azure Event Grid's custom webhook: JSON about a login; topics are the namespace's own affair.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::cli::doctor::brokers::{
    Ask, Broker, Habits, Ill, Line, Reading, Reply, Request, Session,
};

/// A namespace with webhook authentication.
pub static BROKER: Broker = Broker {
    ask,
    read,
    unknown_hook: |session| {
        Request::json("no-such-hook", &json!({ "clientId": session.client_id }))
    },
    habits: Habits {
        tells_of_refused_publish: true,
        shares: true,
        shipped_logins: &[],
    },
    cure,
};

fn ask(session: &Session<'_>, ask: &Ask<'_>) -> Vec<Request> {
    match ask {
        Ask::Connect { named, password } => {
            let mut body = json!({ "clientId": session.client_id });
            if *named {
                body["userName"] = session.username.into();
            }
            if let Some(password) = password {
                body["password"] = STANDARD.encode(password).into();
            }
            vec![Request::json("auth", &body)]
        }
        Ask::Publish(_) | Ask::Subscribe(_) => Vec::new(),
    }
}

fn read(reply: &Reply) -> Reading {
    let decision = reply.member("decision");
    match Reading::of_word(decision.as_ref(), ["allow", "deny", ""]) {
        // A failing webhook is "server unavailable" to the client.
        Reading::Unclear if reply.status == 503 => Reading::No,
        reading => reading,
    }
}

fn cure(ill: Ill) -> &'static [Line] {
    match ill {
        Ill::Topics => &[Line::Do(
            "Event Grid namespace: client groups, topic spaces and permission bindings that use the \
             attributes of the reply",
        )],
        _ => &[
            Line::Set("configure.sh", &["{\"url\": \"@HOOK_URL@/auth\"}"]),
            Line::Do("run it once more: it makes the namespace ask there, and nobody else"),
        ],
    }
}
