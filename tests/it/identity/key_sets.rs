//! Key sets that are huge, slow, elsewhere, badly certified, nonsense or not there.

use serde_json::{Value, json};
use ticketgate::app::providers::ProviderChange;
use ticketgate::identity::draft::Draft;
use ticketgate::identity::key_sets::Settings;
use ticketgate::identity::oidc;
use ticketgate::metrics::KeySetLabel;

use super::{AUDIENCE, Scene, add, change, plan};
use crate::support::issuer::{Answer, Issuer, Signer};
use crate::support::world::Plan;

const DOWN: (u16, &str) = (503, "temporarily_unavailable");

fn quick() -> Plan {
    let mut plan = plan();
    plan.key_sets.timeout = std::time::Duration::from_millis(500);
    plan
}

#[tokio::test]
async fn what_is_no_key_set_is_no_answer_and_no_denial() {
    let key = Signer::rsa().jwk("one");
    let keys = |keys: Value| Answer::json(&json!({ "keys": keys }));
    let megabyte = Answer {
        times: 50,
        ..Answer::body(vec![b'x'; 1024 * 1024])
    };
    let silent = Answer {
        silent: true,
        ..Answer::body("")
    };
    let moved = Answer {
        status: "302 Found",
        ..Answer::body("").with("location: /moved")
    };
    let weak = json!({"kty": "RSA", "kid": "one", "e": "AQAB", "n": "w".repeat(170)});
    let shared = json!({"kty": "oct", "kid": "one", "alg": "HS256", "k": "c2VjcmV0"});
    let mut private = key.clone();
    private["d"] = json!("AQAB");
    let mut encrypts = key.clone();
    encrypts["use"] = json!("enc");
    let mut symmetric = key.clone();
    symmetric["alg"] = json!("HS256");
    let deep = format!("{{\"keys\":{}", "[".repeat(200_000));
    for (what, answer) in [
        ("50 MB", megabyte.clone()),
        (
            "50 MB that say so",
            megabyte.with("content-length: 52428800"),
        ),
        ("never", silent),
        ("redirected", moved),
        (
            "missing",
            Answer {
                status: "404 Not Found",
                ..Answer::body("")
            },
        ),
        (
            "broken",
            Answer {
                status: "500 Oops",
                ..Answer::body("")
            },
        ),
        ("cut short", Answer::body("{").with("content-length: 1000")),
        ("a page", Answer::body("<html>")),
        ("nothing", Answer::body("")),
        ("deep", Answer::body(deep)),
        ("doubled", Answer::body(r#"{"keys":[],"keys":[]}"#)),
        ("no keys", keys(json!([]))),
        ("one name twice", keys(json!([key, key]))),
        ("weak", keys(json!([weak]))),
        ("a shared secret", keys(json!([shared]))),
        ("a private key", keys(json!([private]))),
        ("for encryption", keys(json!([encrypts]))),
        ("for HS256", keys(json!([symmetric]))),
        ("too many", keys(json!(vec![key.clone(); 65]))),
    ] {
        let scene = Scene::with(quick(), Signer::rsa()).await;
        scene.issuer.publish(&[scene.signer.jwk("one")]);
        scene.issuer.answer(
            "/moved",
            Answer::json(&json!({"keys": [scene.signer.jwk("one")]})),
        );
        scene.issuer.answer("/keys", answer);
        scene.assert(&scene.good(), DOWN.0, DOWN.1, what).await;
        // A shared secret that was published must not verify anything.
        let forged = Signer::Secret(b"secret".to_vec()).sign("one", &scene.claims());
        assert_ne!(scene.exchange(&forged).await.0, 200, "{what}");
        assert_eq!(
            scene.issuer.asked("/keys"),
            1,
            "{what}: a pause between fetches"
        );
        assert_eq!(scene.issuer.asked("/moved"), 0, "{what}");
        let status = scene.status();
        assert_eq!(
            (status.state, status.failures),
            (KeySetLabel::Missing, 1),
            "{what}"
        );
        assert!(status.error.is_some(), "{what}");
        scene.issuer.publish(&[scene.signer.jwk("one")]);
        scene.later(11);
        scene.assert(&scene.good(), 200, "ok", what).await;
        assert_eq!(
            (scene.status().state, scene.status().error),
            (KeySetLabel::Fresh, None)
        );
    }
}

#[tokio::test]
async fn odd_keys_beside_a_good_one_are_left_out() {
    let scene = Scene::start().await;
    let mut odd = Signer::rsa().jwk("odd");
    odd["use"] = json!("enc");
    let shared = json!({"kty": "oct", "kid": "shared", "k": "c2VjcmV0"});
    let future = json!({"kty": "AKP", "kid": "future", "alg": "ML-DSA-44", "pub": "AA"});
    scene
        .issuer
        .publish(&[odd, shared, future, scene.signer.jwk("one")]);
    scene.assert(&scene.good(), 200, "ok", "the good one").await;
    let status = scene.status();
    assert_eq!(status.keys.len(), 1);
    assert_eq!(status.skipped.values().sum::<usize>(), 3);
}

#[tokio::test]
async fn many_at_once_are_one_fetch() {
    let scene = Scene::start().await;
    let token = scene.good();
    let all = (0..20).map(|_| scene.exchange(&token));
    for (status, code) in futures_util::future::join_all(all).await {
        assert_eq!((status, code.as_str()), (200, "ok"));
    }
    assert_eq!(scene.issuer.asked("/keys"), 1);
}

#[tokio::test]
async fn the_last_good_keys_outlive_an_hour_without_the_provider_but_not_a_day() {
    let scene = Scene::start().await;
    scene.assert(&scene.good(), 200, "ok", "up").await;
    scene.issuer.down(true);
    scene.later(3_601);
    scene
        .assert(&scene.good(), 200, "ok", "down for an hour")
        .await;
    assert_eq!(scene.status().state, KeySetLabel::Stale);
    let unknown = scene.signer.sign("two", &scene.claims());
    scene
        .assert(&unknown, DOWN.0, DOWN.1, "nobody can say")
        .await;
    scene.later(6 * 3_600);
    scene
        .assert(&scene.good(), DOWN.0, DOWN.1, "down for too long")
        .await;
    scene.issuer.down(false);
    scene.later(11);
    scene.assert(&scene.good(), 200, "ok", "up again").await;
    let text = scene.world.app.render_metrics();
    assert!(
        text.contains(r#"ticketgate_key_sets{state="fresh"} 1"#),
        "{text}"
    );
    assert!(
        text.contains(r#"ticketgate_key_set_fetches_total{outcome="failed"}"#),
        "{text}"
    );
}

#[tokio::test]
async fn a_key_that_was_taken_back_ends_with_the_age_of_its_set() {
    // Its sender says a second; at least a minute is what counts, and at most an hour.
    for (header, good_for) in [
        ("cache-control: max-age=1", 60),
        ("cache-control: no-store", 60),
        ("cache-control: max-age=600", 600),
        ("cache-control: max-age=86400", 3_600),
        ("x-nothing: 1", 300),
    ] {
        let scene = Scene::start().await;
        let keys = |keys: Value| Answer::json(&json!({ "keys": keys })).with(header);
        scene
            .issuer
            .answer("/keys", keys(json!([scene.signer.jwk("one")])));
        scene.assert(&scene.good(), 200, "ok", header).await;
        let new = Signer::rsa();
        scene.issuer.answer("/keys", keys(json!([new.jwk("two")])));
        scene.later(good_for * 7 / 10);
        scene.assert(&scene.good(), 200, "ok", header).await;
        assert_eq!(scene.issuer.asked("/keys"), 1, "{header}");
        scene.later(good_for * 3 / 10 + 1);
        scene
            .assert(&scene.good(), 401, "invalid_token", header)
            .await;
        scene
            .assert(&new.sign("two", &scene.claims()), 200, "ok", header)
            .await;
    }
}

#[tokio::test]
async fn keys_that_the_provider_has_taken_back_all_at_once_are_good_no_more() {
    let scene = Scene::start().await;
    scene.assert(&scene.good(), 200, "ok", "first").await;
    for nothing in [
        json!([]),
        json!([{"kty": "oct", "kid": "one", "k": "c2VjcmV0"}]),
    ] {
        scene.issuer.publish(&[scene.signer.jwk("one")]);
        scene.world.clock.as_ref().unwrap().advance(400);
        scene.assert(&scene.good(), 200, "ok", "published").await;
        scene
            .issuer
            .answer("/keys", Answer::json(&json!({ "keys": nothing })));
        scene.world.clock.as_ref().unwrap().advance(400);
        let (status, code) = DOWN;
        scene
            .assert(&scene.good(), status, code, "taken back")
            .await;
        scene.world.clock.as_ref().unwrap().advance(11);
    }
}

#[tokio::test]
async fn nobody_waits_for_a_provider_that_was_silent_a_moment_ago() {
    let scene = Scene::with(quick(), Signer::rsa()).await;
    scene.assert(&scene.good(), 200, "ok", "first").await;
    let silent = Answer {
        silent: true,
        ..Answer::body("")
    };
    scene.issuer.answer("/keys", silent);
    let clock = scene.world.clock.as_ref().unwrap();
    clock.advance(400);
    scene
        .assert(&scene.good(), 200, "ok", "the one who waits")
        .await;
    for _ in 0..3 {
        clock.advance(11);
        let token = scene.good();
        // Far less than a fetch takes to fail.
        let waiting = std::time::Duration::from_millis(400);
        let answer = tokio::time::timeout(waiting, scene.exchange(&token)).await;
        assert_eq!(answer, Ok((200, "ok".to_owned())));
    }
}

#[tokio::test]
async fn a_provider_that_is_switched_off_makes_no_logins_of_keys_that_were_on_their_way() {
    let scene = Scene::with(quick(), Signer::rsa()).await;
    scene.assert(&scene.good(), 200, "ok", "first").await;
    let silent = Answer {
        silent: true,
        ..Answer::body("")
    };
    scene.issuer.answer("/keys", silent);
    scene.world.clock.as_ref().unwrap().advance(400);
    let token = scene.good();
    let asked = scene.issuer.asked("/keys");
    let switching_off = async {
        while scene.issuer.asked("/keys") == asked {
            tokio::task::yield_now().await;
        }
        change(&scene.world, "oidc", ProviderChange::Disable).await;
    };
    let (answer, ()) = tokio::join!(scene.exchange(&token), switching_off);
    assert_eq!(answer, (404, "provider_not_found".to_owned()));
}

#[tokio::test]
async fn a_set_is_renewed_beside_the_traffic_before_it_is_old() {
    let scene = Scene::start().await;
    scene.assert(&scene.good(), 200, "ok", "first").await;
    scene.later(300 * 85 / 100);
    scene.assert(&scene.good(), 200, "ok", "ageing").await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while scene.status().fetches < 2 {
        assert!(std::time::Instant::now() < deadline, "nobody renews it");
        tokio::task::yield_now().await;
    }
    scene.later(300 * 30 / 100);
    scene.assert(&scene.good(), 200, "ok", "renewed").await;
    assert_eq!(scene.issuer.asked("/keys"), 2);
}

#[tokio::test]
async fn private_addresses_are_not_asked() {
    let plan = Plan {
        key_sets: Settings::default(),
        ..plan()
    };
    let scene = Scene::with(plan, Signer::rsa()).await;
    scene
        .assert(&scene.good(), DOWN.0, DOWN.1, "loopback")
        .await;
    assert_eq!(scene.issuer.asked_at_all(), 0);
    let error = scene.status().error.unwrap().to_string();
    assert!(
        error.contains("identity.allow_private_addresses"),
        "{error}"
    );
}

#[tokio::test]
async fn discovery_must_be_of_the_same_issuer() {
    let scene = Scene::start().await;
    let real = Issuer::start().await;
    let url = real.url.clone();
    real.publish(&[scene.signer.jwk("one")]);
    let draft = Draft::new("found", "found_");
    let provider = oidc::provider(draft, &url, None, vec![AUDIENCE.into()], [].into()).unwrap();
    add(&scene.world, provider).await;
    let token = scene
        .signer
        .sign("one", &scene.claims_with("iss", json!(url)));
    let keys = format!("{url}/keys");
    for document in [
        json!({"issuer": "https://other.example", "jwks_uri": keys}),
        json!({"issuer": format!("{url}/"), "jwks_uri": keys}),
        json!({"jwks_uri": keys}),
        json!({"issuer": url}),
        json!({"issuer": url, "jwks_uri": "file:///etc/passwd"}),
        json!({"issuer": url, "jwks_uri": "http://keys.example/keys"}),
        json!([]),
    ] {
        let answer = Answer::json(&document);
        real.answer("/.well-known/openid-configuration", answer);
        let what = document.to_string();
        scene.assert(&token, DOWN.0, DOWN.1, &what).await;
        scene.later(11);
    }
    assert_eq!(real.asked("/keys"), 0);
    let good = json!({"issuer": url, "jwks_uri": keys});
    real.answer("/.well-known/openid-configuration", Answer::json(&good));
    scene.assert(&token, 200, "ok", "good").await;
}
