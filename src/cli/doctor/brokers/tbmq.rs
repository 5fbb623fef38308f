//! ThingsBoard's TBMQ: JSON about a login; its topic rules travel in the reply.

use serde_json::{Value, json};

use crate::cli::doctor::brokers::{Ask, Broker, Habits, Ill, Reading, Reply, Request, Session};

/// TBMQ 2.x.
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
            let body = json!({
                "clientId": session.client_id,
                "username": if *named { session.username } else { "" },
                "password": password.unwrap_or_default(),
            });
            vec![Request::json("auth", &body)]
        }
        Ask::Publish(_) | Ask::Subscribe(_) => Vec::new(),
    }
}

/// A yes without rules would be a yes to every topic.
fn read(reply: &Reply) -> Reading {
    let result = reply.member("result");
    match Reading::of_word(result.as_ref(), ["success", "failure", "skipped"]) {
        Reading::Yes
            if !reply
                .member("authRules")
                .is_some_and(|rules| is_closed(&rules)) =>
        {
            Reading::Unclear
        }
        reading => reading,
    }
}

fn is_closed(rules: &Value) -> bool {
    let lists = ["pubAuthRulePatterns", "subAuthRulePatterns"];
    lists.iter().all(|name| rules[name].is_array())
}

fn cure(ill: Ill) -> &'static str {
    match ill {
        Ill::Anonymous | Ill::OwnUsers | Ill::FailsOpen => {
            "TBMQ, Authentication: the HTTP provider enabled, Basic and all others disabled"
        }
        Ill::Form => {
            "TBMQ, Authentication, HTTP: the body {\"clientId\":\"${clientId}\",\"username\":\"${username}\",\
             \"password\":\"${password}\"}"
        }
        Ill::Method => "TBMQ, Authentication, HTTP: method POST",
        _ => "TBMQ, Authentication, HTTP: the URL is HOOK_URL/auth",
    }
}
