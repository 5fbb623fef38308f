//! Hostile tokens, each with the answer that it gets.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as B64};
use serde_json::{Value, json};
use ticketgate::app::providers::ProviderChange;
use ticketgate::identity::custom::{self, CustomKey};
use ticketgate::identity::draft::Draft;
use ticketgate::identity::supabase::{self, Signing};
use ticketgate::identity::{clerk, firebase};
use ticketgate::names::organization_id::OrganizationName;
use ticketgate::org::provider::{BadProvider, Provider};
use ticketgate::secret::Secret;

use super::{AUDIENCE, Scene, add, change, plan};
use crate::support::issuer::{Answer, Issuer, Signer};
use crate::support::world::{ORIGIN, Plan, World};

const BAD: (u16, &str) = (401, "invalid_token");

#[tokio::test]
async fn a_good_token_of_each_algorithm_passes() {
    for signer in [Signer::rsa(), Signer::p256(), Signer::ed25519()] {
        let name = signer.algorithm();
        let scene = Scene::with(plan(), signer).await;
        scene.assert(&scene.good(), 200, "ok", name).await;
        // Nobody can tell a replay from a page that was loaded again: a token is good until it ends.
        scene.assert(&scene.good(), 200, "ok", "again").await;
        assert_eq!(scene.issuer.asked("/keys"), 1);
    }
}

#[tokio::test]
async fn none_is_no_algorithm() {
    let scene = Scene::start().await;
    let claims = B64.encode(scene.claims().to_string());
    let signature = scene.good().rsplit_once('.').unwrap().1.to_owned();
    for algorithm in ["none", "None", "NONE", "nOnE", "", " none", "none\u{0}"] {
        let header = B64.encode(json!({"alg": algorithm, "kid": "one"}).to_string());
        for signature in ["", "AA", &signature] {
            let token = format!("{header}.{claims}.{signature}");
            scene.assert(&token, BAD.0, BAD.1, algorithm).await;
        }
    }
    let good = scene.good();
    let (signed, _) = good.rsplit_once('.').unwrap();
    for cut in [
        format!("{signed}."),
        signed.to_owned(),
        format!("{good}.{good}"),
    ] {
        scene.assert(&cut, BAD.0, BAD.1, "cut").await;
    }
}

#[tokio::test]
async fn a_public_key_is_no_shared_secret() {
    let scene = Scene::start().await;
    let jwk = scene.signer.jwk("one");
    let modulus = B64.decode(jwk["n"].as_str().unwrap()).unwrap();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n",
        STANDARD.encode(&modulus)
    );
    for secret in [
        modulus,
        pem.into_bytes(),
        jwk.to_string().into_bytes(),
        vec![],
    ] {
        let token = Signer::Secret(secret).sign("one", &scene.claims());
        scene.assert(&token, BAD.0, BAD.1, "HS256").await;
    }
}

#[tokio::test]
async fn another_algorithm_than_the_keys_is_refused() {
    let scene = Scene::start().await;
    let claims = scene.claims().to_string();
    for algorithm in [
        "PS256", "RS384", "RS512", "ES256", "EdDSA", "ES256K", "rs256",
    ] {
        let header = json!({"alg": algorithm, "kid": "one"}).to_string();
        let token = scene.signer.sign_text(&header, &claims);
        scene.assert(&token, BAD.0, BAD.1, algorithm).await;
    }
    for other in [Signer::p256(), Signer::ed25519(), Signer::rsa()] {
        let token = other.sign("one", &scene.claims());
        scene.assert(&token, BAD.0, BAD.1, "another's key").await;
    }
}

#[tokio::test]
async fn a_key_id_is_only_a_name() {
    let scene = Scene::start().await;
    let (other, claims) = (Scene::start().await, scene.claims().to_string());
    other.issuer.publish(&[other.signer.jwk("theirs")]);
    for kid in [
        json!("../../../etc/passwd"),
        json!("/dev/null"),
        json!("' OR 1=1 --"),
        json!("one' --"),
        json!("ONE"),
        json!("one "),
        json!("one\u{0}"),
        json!(""),
        json!("theirs"),
        json!(other.provider.id),
        json!("http://169.254.169.254/"),
        json!("k".repeat(9_000)),
        json!(1),
        json!(["one"]),
        json!({"one": 1}),
    ] {
        let header = json!({"alg": "RS256", "kid": kid}).to_string();
        let token = scene.signer.sign_text(&header, &claims);
        scene
            .assert(&token, BAD.0, BAD.1, &format!("{kid:.40}"))
            .await;
    }
    let header = json!({"alg": "RS256", "kid": "k".repeat(64 * 1024)}).to_string();
    let token = scene.signer.sign_text(&header, &claims);
    scene
        .assert(&token, 413, "request_too_large", "64 KB")
        .await;
    assert_eq!(other.issuer.asked_at_all(), 0);
    // The only key may go unnamed.
    let token = scene.signer.sign_text(r#"{"alg":"RS256"}"#, &claims);
    scene.assert(&token, 200, "ok", "no kid").await;
}

#[tokio::test]
async fn nothing_that_a_header_points_to_is_fetched_or_believed() {
    let scene = Scene::start().await;
    let (evil, theirs) = (Issuer::start().await, Signer::rsa());
    evil.publish(&[theirs.jwk("one")]);
    let keys = format!("{}/keys", evil.url);
    for (name, value) in [
        ("jku", json!(keys)),
        ("x5u", json!(keys)),
        ("jwk", theirs.jwk("one")),
        ("x5c", json!(["AAAA"])),
    ] {
        let mut header = json!({"alg": "RS256", "kid": "one"});
        header[name] = value;
        let claims = scene.claims().to_string();
        let forged = theirs.sign_text(&header.to_string(), &claims);
        scene.assert(&forged, BAD.0, BAD.1, name).await;
        let own = scene.signer.sign_text(&header.to_string(), &claims);
        scene.assert(&own, 200, "ok", name).await;
    }
    assert_eq!(evil.asked_at_all(), 0);
}

#[tokio::test]
async fn unusual_forms_are_refused() {
    let scene = Scene::start().await;
    let claims = scene.claims().to_string();
    for header in [
        r#"{"alg":"RS256","kid":"one","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"RS256","kid":"one","crit":["exp"]}"#,
        r#"{"alg":"RS256","kid":"one","zip":"DEF"}"#,
        r#"{"alg":"RS256","kid":"one","cty":"JWT"}"#,
        r#"{"alg":"RS256","kid":"one","typ":"logout+jwt"}"#,
        r#"{"alg":"RS256","kid":"one","typ":"dpop+jwt"}"#,
        r#"{"alg":"none","alg":"RS256","kid":"one"}"#,
        r#"{"alg":"RSA-OAEP","enc":"A256GCM","kid":"one"}"#,
        r#"{"alg":"RS256","kid":"one"} x"#,
        r#"["RS256"]"#,
    ] {
        let token = scene.signer.sign_text(header, &claims);
        scene.assert(&token, BAD.0, BAD.1, header).await;
    }
    for doubled in [
        claims.replace(r#""sub""#, r#""sub":"root","sub""#),
        claims.replace(r#""exp""#, r#""exp":9999999999,"exp""#),
        claims.replace(r#""iss""#, r#""\u0069ss":"x","iss""#),
    ] {
        let header = r#"{"alg":"RS256","kid":"one"}"#;
        let token = scene.signer.sign_text(header, &doubled);
        scene.assert(&token, BAD.0, BAD.1, &doubled).await;
    }
    let (good, jwe) = (scene.good(), "eyJhbGciOiJkaXIifQ..AA.AA.AA");
    let parts: Vec<&str> = good.split('.').collect();
    for token in [
        format!("{good}="),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}==.{}", parts[0], parts[1], parts[2]),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{}.\n{}.{}", parts[0], parts[1], parts[2]),
        format!(
            "{}.{}.{}",
            parts[0],
            parts[1],
            parts[2].replace(['-', '_'], "+")
        ),
        format!("{}.{}.{}A", parts[0], parts[1], parts[2]),
        format!("Bearer {good}"),
        jwe.to_owned(),
        "x".repeat(17_000),
    ] {
        scene
            .assert(&token, BAD.0, BAD.1, &format!("{token:.60}"))
            .await;
    }
}

#[tokio::test]
async fn each_claim_has_one_reading() {
    let scene = Scene::start().await;
    let now = scene.world.now().as_second();
    let expired = (401, "token_expired");
    let (unknown, ok) = ((404, "provider_not_found"), (200, "ok"));
    let (url, upper) = (scene.issuer.url.clone(), scene.issuer.url.to_uppercase());
    for (name, value, expected) in [
        ("exp", json!((now + 600).to_string()), BAD),
        ("exp", json!(now as f64 + 600.5), ok),
        ("exp", json!(-1), BAD),
        ("exp", json!(1e300), BAD),
        ("exp", json!(null), BAD),
        ("exp", json!([now + 600]), BAD),
        ("exp", json!(true), BAD),
        ("exp", json!(0), expired),
        ("exp", json!(now - 30), expired),
        ("nbf", json!(now + 31), BAD),
        ("iat", json!(now + 31), BAD),
        ("iat", json!(now + 100_000), BAD),
        ("aud", json!(["other", AUDIENCE]), ok),
        ("aud", json!([]), BAD),
        ("aud", json!(null), BAD),
        ("aud", json!("mqtt2"), BAD),
        ("aud", json!("mqt"), BAD),
        ("aud", json!("MQTT"), BAD),
        ("aud", json!("other mqtt"), BAD),
        ("aud", json!([AUDIENCE, 7]), BAD),
        ("aud", json!({"mqtt": true}), BAD),
        ("iss", json!(format!("{url}/")), unknown),
        ("iss", json!(upper), unknown),
        ("iss", json!(format!("{url}.evil.example")), unknown),
        ("iss", json!([url]), BAD),
        ("iss", json!(null), BAD),
        ("sub", json!(null), BAD),
        ("sub", json!(""), BAD),
        ("sub", json!(7), BAD),
        ("email", json!(null), (422, "email_required")),
        ("email", json!(""), (422, "email_required")),
        ("email", json!(["a@b.example"]), BAD),
    ] {
        let what = format!("{name} {value}");
        let token = scene.signer.sign("one", &scene.claims_with(name, value));
        scene.assert(&token, expected.0, expected.1, &what).await;
    }
    let endless = scene.claims().to_string();
    let endless = endless.replace(&(now + 600).to_string(), "1e400");
    let token = scene
        .signer
        .sign_text(r#"{"alg":"RS256","kid":"one"}"#, &endless);
    scene.assert(&token, BAD.0, BAD.1, "1e400").await;
}

#[tokio::test]
async fn an_issuer_is_known_to_its_organization_only() {
    let (ours, theirs) = (Scene::start().await, Scene::start().await);
    let body = json!({"organization_id": theirs.world.organization, "token": ours.good()});
    let (status, reply) = theirs.world.exchange(&body).await;
    assert_eq!(
        (status, &reply["error"]),
        (404, &json!("provider_not_found"))
    );
    assert_eq!(ours.issuer.asked_at_all(), 0, "nobody asks for a stranger");
}

#[tokio::test]
async fn a_provider_that_is_off_makes_no_new_logins() {
    let scene = Scene::start().await;
    let token = scene.good();
    let login = json!({"organization_id": scene.world.organization, "token": token});
    let (_, reply) = scene.world.exchange(&login).await;
    change(&scene.world, "oidc", ProviderChange::Disable).await;
    scene.assert(&token, 404, "provider_not_found", "off").await;
    let text = |name: &str| reply[name].as_str().unwrap().to_owned();
    let (username, password) = (text("mqtt_username"), text("mqtt_password"));
    assert!(scene.world.can_connect(&username, &password).await);
    change(&scene.world, "oidc", ProviderChange::Enable).await;
    scene.assert(&token, 200, "ok", "on").await;
    change(&scene.world, "oidc", ProviderChange::Remove).await;
    scene
        .assert(&token, 404, "provider_not_found", "gone")
        .await;
}

#[tokio::test]
async fn a_provider_that_comes_back_knows_its_users() {
    let scene = Scene::start().await;
    let exchange = async |subject: &str| {
        let token = scene
            .signer
            .sign("one", &scene.claims_with("sub", json!(subject)));
        let body = json!({"organization_id": scene.world.organization, "token": token});
        scene.world.exchange(&body).await
    };
    // The second is no username, so its username is a hash.
    let mut before = Vec::new();
    for subject in ["alice", "auth0|alice"] {
        let (status, reply) = exchange(subject).await;
        assert_eq!(status, 200, "{reply}");
        before.push(reply["mqtt_username"].clone());
    }
    change(&scene.world, "oidc", ProviderChange::Remove).await;
    assert_eq!(exchange("alice").await.0, 404);
    let subject = json!({"subject": "auth0|alice", "provider": "oidc",
                         "organization": scene.world.organization});
    let (status, reply) = scene.world.revoke(&subject).await;
    assert_eq!((status, &reply["revoked"]), (200, &json!(1)), "{reply}");

    let again = Provider {
        id: uuid::Uuid::new_v4(),
        ..scene.provider.clone()
    };
    add(&scene.world, again).await;
    for (subject, username) in ["alice", "auth0|alice"].into_iter().zip(before) {
        let (status, reply) = exchange(subject).await;
        assert_eq!(
            (status, &reply["mqtt_username"]),
            (200, &username),
            "{reply}"
        );
    }
}

#[tokio::test]
async fn an_address_that_nobody_has_proved_opens_no_topics() {
    let plan = Plan {
        policy: json!({"rules": [{"user": "*", "topic": "inbox/{email}", "permission": "both"}]}),
        ..plan()
    };
    let scene = Scene::with(plan, Signer::rsa()).await;
    for (number, (verified, opens)) in [
        (json!(true), true),
        (json!("true"), true),
        (json!(false), false),
        (json!("false"), false),
        (json!("False"), false),
        (json!("0"), false),
        (json!(0), false),
        (json!(1), false),
        (Value::Null, false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut claims = scene.claims_with("email_verified", verified.clone());
        claims["sub"] = json!(format!("user{number}"));
        let token = scene.signer.sign("one", &claims);
        let body = json!({"organization_id": scene.world.organization, "token": token});
        let (status, reply) = scene.world.exchange(&body).await;
        assert_eq!(status, 200, "{reply}");
        let username = reply["mqtt_username"].as_str().unwrap();
        let asked = json!({"username": username, "client_id": "c", "mountpoint": "", "qos": 0,
                           "topic": "inbox/alice@example.com", "retain": false});
        let (_, answer) = scene.world.ask_vernemq("auth_on_publish", &asked).await;
        assert_eq!(answer["result"] == "ok", opens, "{verified}");
    }
}

#[tokio::test]
async fn an_integration_that_is_no_id_is_nobodys() {
    let scene = Scene::start().await;
    let body = json!({"organization_id": scene.world.organization, "token": scene.good(),
                      "integration_id": "prod"});
    let (status, reply) = scene.world.exchange(&body).await;
    assert_eq!(
        (status, &reply["error"]),
        (404, &json!("provider_not_found"))
    );
}

#[tokio::test]
async fn another_project_of_the_same_product_is_a_stranger() {
    let (world, issuer, signer) = (
        World::with(plan()).await,
        Issuer::start().await,
        Signer::rsa(),
    );
    issuer.publish(&[signer.jwk("google")]);
    let keys = format!("{}/keys", issuer.url).parse().unwrap();
    let draft = Draft::new("firebase", "fb_");
    add(
        &world,
        firebase::provider(draft, "our-project", Some(keys)).unwrap(),
    )
    .await;
    let now = world.now().as_second();
    // Google signs for every project with the same keys.
    let claims = |project: &str, audience: &str| {
        json!({
            "iss": format!("https://securetoken.google.com/{project}"),
            "aud": audience, "sub": "alice", "email": "a@b.example",
            "auth_time": now - 60, "iat": now, "exp": now + 600,
        })
    };
    let exchange = async |claims: &Value| {
        let token = signer.sign("google", claims);
        let body = json!({"organization_id": world.organization, "token": token});
        world.exchange(&body).await.0
    };
    assert_eq!(exchange(&claims("our-project", "our-project")).await, 200);
    assert_eq!(
        exchange(&claims("their-project", "their-project")).await,
        404
    );
    assert_eq!(exchange(&claims("their-project", "our-project")).await, 404);
    assert_eq!(exchange(&claims("our-project", "their-project")).await, 401);
    let mut never = claims("our-project", "our-project");
    never.as_object_mut().unwrap().remove("auth_time");
    assert_eq!(exchange(&never).await, 422);
}

#[tokio::test]
async fn a_supabase_project_may_go_over_from_its_secret_to_signing_keys() {
    let (world, issuer, signer) = (
        World::with(plan()).await,
        Issuer::start().await,
        Signer::p256(),
    );
    let jwks = json!({"keys": [signer.jwk("one")]});
    issuer.answer("/auth/v1/.well-known/jwks.json", Answer::json(&jwks));
    let secret = "the older secret of the project, long enough";
    let organization = OrganizationName::Id(world.organization.clone());
    let made = world.app.add_made_providers(organization, |keys| {
        let (draft, secret) = (Draft::new("both", "both_"), Secret::new(secret));
        let signing = Signing::Both(&secret);
        Ok(vec![supabase::provider(
            draft,
            &issuer.url,
            &signing,
            keys,
        )?])
    });
    made.await.unwrap();
    let now = world.now().as_second();
    let claims = json!({
        "iss": format!("{}/auth/v1", issuer.url), "aud": "authenticated", "sub": "alice",
        "email": "a@b.example", "iat": now, "exp": now + 600,
    });
    let older = Signer::Secret(secret.as_bytes().to_vec());
    let confused = Signer::Secret(signer.jwk("one").to_string().into_bytes());
    for (signer, expected) in [
        (&signer, 200),
        (&older, 200),
        (&confused, 401),
        (&Signer::p256(), 401),
        (&Signer::rsa(), 401),
    ] {
        let token = signer.sign("one", &claims);
        let body = json!({"organization_id": world.organization, "token": token});
        assert_eq!(
            world.exchange(&body).await.0,
            expected,
            "{}",
            signer.algorithm()
        );
    }
}

#[tokio::test]
async fn a_clerk_token_is_for_the_page_that_asked_for_it() {
    let scene = Scene::start().await;
    let keys = format!("{}/keys", scene.issuer.url);
    let draft = Draft::new("clerk", "clerk_");
    let mut provider = clerk::provider(draft, "clerk.example.com", vec![]).unwrap();
    assert_eq!(provider.issuer, "https://clerk.example.com");
    provider.key = ticketgate::identity::draft::key_set(
        keys.parse().unwrap(),
        [ticketgate::org::public_key::Algorithm::RS256],
    );
    add(&scene.world, provider).await;
    let mut claims = scene.claims_with("iss", json!("https://clerk.example.com"));
    claims.as_object_mut().unwrap().remove("aud");
    for (azp, expected) in [
        (json!(ORIGIN), (200, "ok")),
        (json!(null), (200, "ok")),
        (json!("https://evil.example"), BAD),
        (json!(format!("{ORIGIN}.evil.example")), BAD),
        (json!(7), BAD),
    ] {
        claims["azp"] = azp.clone();
        let token = scene.signer.sign("one", &claims);
        scene
            .assert(&token, expected.0, expected.1, &azp.to_string())
            .await;
    }
}

#[tokio::test]
async fn pasted_keys_verify_and_short_secrets_are_refused() {
    let world = World::with(plan()).await;
    let organization = || OrganizationName::Id(world.organization.clone());
    let now = world.now().as_second();
    for signer in [Signer::rsa(), Signer::p256(), Signer::ed25519()] {
        let issuer = format!("urn:test:{}", signer.algorithm());
        let jwk = signer.jwk("any").to_string();
        let key = ticketgate::identity::pem::public_key(&jwk).unwrap();
        let key = CustomKey::Public(signer.algorithm().parse().unwrap(), key);
        let prefix = format!("{}_", signer.algorithm().to_lowercase());
        let draft = Draft::new(&prefix, &prefix);
        let audiences = vec![AUDIENCE.to_owned()];
        let made = world.app.add_made_providers(organization(), |keys| {
            Ok(vec![custom::provider(
                draft, &issuer, audiences, key, keys,
            )?])
        });
        made.await.unwrap();
        let claims =
            json!({"iss": issuer, "aud": AUDIENCE, "sub": "a", "email": "a@b", "exp": now + 60});
        let exchange = async |token: String| {
            let body = json!({"organization_id": world.organization, "token": token});
            world.exchange(&body).await.0
        };
        assert_eq!(
            exchange(signer.sign("whatever", &claims)).await,
            200,
            "{issuer}"
        );
        let others = [Signer::rsa(), Signer::p256(), Signer::ed25519()];
        for other in others
            .iter()
            .chain([&Signer::Secret(jwk.clone().into_bytes())])
        {
            assert_eq!(
                exchange(other.sign("whatever", &claims)).await,
                401,
                "{issuer}"
            );
        }
    }
    let short = world.app.add_made_providers(organization(), |keys| {
        let key = CustomKey::SharedSecret(Secret::new("x".repeat(31)));
        let draft = Draft::new("short", "short_");
        custom::provider(draft, "x", vec!["a".into()], key, keys).map(|one| vec![one])
    });
    let error = short.await.unwrap_err().to_string();
    assert_eq!(error, BadProvider::ShortSecret(31).to_string());
}

#[tokio::test]
async fn a_storm_of_unknown_keys_costs_one_fetch() {
    let scene = Scene::start().await;
    scene.assert(&scene.good(), 200, "ok", "first").await;
    scene.later(11);
    let claims = scene.claims();
    for number in 0..40 {
        let token = scene.signer.sign(&format!("unknown-{number}"), &claims);
        scene.assert(&token, BAD.0, BAD.1, "unknown").await;
    }
    assert_eq!(scene.issuer.asked("/keys"), 2);
    // Those with a known key are served throughout, and the other provider is not held up.
    scene.assert(&scene.good(), 200, "ok", "known").await;
    scene.world.login("bob").await;
    // A new key is found as soon as the pause is over.
    let new = Signer::p256();
    scene
        .issuer
        .publish(&[scene.signer.jwk("one"), new.jwk("two")]);
    let token = new.sign("two", &claims);
    scene.assert(&token, BAD.0, BAD.1, "in the pause").await;
    scene.later(11);
    scene.assert(&token, 200, "ok", "after it").await;
    assert_eq!(scene.issuer.asked("/keys"), 3);
}

#[tokio::test]
async fn claims_reach_the_topic_rules() {
    let rule = json!({"user": "*", "topic": "fleet/{role}/#", "permission": "both"});
    let plan = ticketgate_plan(rule);
    let scene = Scene::with(plan, Signer::rsa()).await;
    change(&scene.world, "oidc", ProviderChange::Remove).await;
    let mut provider = scene.provider.clone();
    provider.claim_map = [("role".to_owned(), "app.roles".parse().unwrap())].into();
    add(&scene.world, provider).await;
    scene.issuer.answer("/other", Answer::body("x"));
    let token = scene
        .signer
        .sign("one", &scene.claims_with("app", json!({"roles": "driver"})));
    let body = json!({"organization_id": scene.world.organization, "token": token});
    let (status, reply) = scene.world.exchange(&body).await;
    assert_eq!(status, 200, "{reply}");
    let username = reply["mqtt_username"].as_str().unwrap();
    let password = reply["mqtt_password"].as_str().unwrap();
    assert!(scene.world.can_connect(username, password).await);
    for (topic, expected) in [("fleet.driver.x", "allow"), ("fleet.admin.x", "deny")] {
        let fields = [
            ("username", username),
            ("vhost", "/"),
            ("resource", "topic"),
            ("name", "amq.topic"),
            ("permission", "write"),
            ("routing_key", topic),
            ("variable_map.client_id", "test-client"),
        ];
        let (_, answer) = scene.world.ask_rabbitmq("topic", &fields).await;
        assert_eq!(answer, expected, "{topic}");
    }
}

fn ticketgate_plan(rule: Value) -> crate::support::world::Plan {
    crate::support::world::Plan {
        policy: json!({ "rules": [rule] }),
        ..plan()
    }
}
