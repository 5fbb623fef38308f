//! ThingsBoard's TBMQ: JSON about a login; its topic rules travel in the reply.

use serde_json::{Value, json};

use crate::cli::doctor::brokers::{
    Ask, Broker, Habits, Ill, Line, Reading, Reply, Request, Session,
};

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

fn cure(ill: Ill) -> &'static [Line] {
    match ill {
        Ill::Anonymous | Ill::OwnUsers | Ill::FailsOpen => &[
            Line::Set(FILE, &["\"enabled\": true"]),
            Line::Do("TBMQ, Authentication: Basic and every other provider disabled"),
        ],
        Ill::Form => &[Line::Set(
            FILE,
            &[
                "\"requestBody\": \"{\\\"username\\\":\\\"${username}\\\",\\\"password\\\":\\\"${password}\\\",\\\"clientId\\\":\\\"${clientId}\\\"}\"",
            ],
        )],
        Ill::Method => &[Line::Set(FILE, &["\"requestMethod\": \"POST\""])],
        Ill::Topics => &[Line::Set(
            FILE,
            &[
                "\"pubAuthRulePatterns\": [\"(?!)\"]",
                "\"subAuthRulePatterns\": [\"(?!)\"]",
            ],
        )],
        _ => &[Line::Set(
            FILE,
            &[
                "\"restEndpointUrl\": \"@HOOK_BARE_URL@/auth\"",
                "\"Authorization\": \"Bearer @HOOK_SECRET@\"",
            ],
        )],
    }
}

const FILE: &str = "provider.json";
