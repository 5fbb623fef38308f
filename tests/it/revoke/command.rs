//! `ticketgate revoke`, as an operator meets it.

use jiff::SignedDuration;
use serde_json::json;
use ticketgate::clock::{Clock as _, SystemClock};

use crate::support::program::Site;

#[tokio::test]
async fn every_form_of_the_command_does_what_it_says() {
    let site = Site::set_up();
    let _server = site.serve().await;
    let org = site.organization.clone();
    let (username, password, id) = site.login("alice").await;
    let text = site.run(&["revoke", &id]);
    assert!(
        text.starts_with(&format!("{username}: revoked 1; ")),
        "{text}"
    );
    assert!(text.contains("stays open at the broker"), "{text}");
    assert!(text.contains("1 of 1 nodes confirmed it"), "{text}");
    assert!(!site.can_connect(&username, &password).await);

    let (_, password, _) = site.login("alice").await;
    let subject = [
        "revoke",
        "--subject",
        "alice",
        "--provider",
        "demo",
        "--org",
        &org,
    ];
    let reply = site.json(&subject);
    let nodes = json!({"total": 1, "confirmed": 1});
    let expected = json!({"username": username, "revoked": 1, "nodes": nodes, "replicas": null});
    assert_eq!(reply, expected);
    assert!(!site.can_connect(&username, &password).await);
    assert!(site.run(&subject).contains("nothing was live any more\n"));

    let (_, password, _) = site.login("alice").await;
    let a_minute_ago = SystemClock.now() - SignedDuration::from_secs(60);
    let before = [
        "revoke",
        "--org",
        &org,
        "--issued-before",
        &a_minute_ago.to_string(),
    ];
    let text = site.run(&before);
    assert!(
        text.contains(&format!("{org}: revoked all that was issued before")),
        "{text}"
    );
    assert!(site.can_connect(&username, &password).await);

    let key = format!("key:{}", &site.key[3..13]);
    let text = site.run(&["revoke", &key]);
    assert!(
        text.contains("revoked 1; no call with it is answered again"),
        "{text}"
    );
    assert!(site.can_connect(&username, &password).await);

    let text = site.run(&["revoke", &org, "--everything"]);
    assert!(
        text.contains(&format!("{org}: revoked all that was issued until now; ")),
        "{text}"
    );
    assert!(!site.can_connect(&username, &password).await);
    let (_, password, _) = site.login("alice").await;
    assert!(site.can_connect(&username, &password).await);
}

#[tokio::test]
async fn a_slip_of_the_hand_locks_nobody_out() {
    let site = Site::set_up();
    let _server = site.serve().await;
    let org = site.organization.clone();
    let (username, password, id) = site.login("alice").await;
    for (arguments, expected) in [
        (&[&*org][..], "add --everything"),
        (&[&username, "--everything"], "is for an organization"),
        (&[&id, "--everything"], "is for an organization"),
        (&["--everything"], "required arguments"),
        (&["--org", &org], "required arguments"),
        (&["--org", &org, "--everything"], "required arguments"),
        (&["--org", &org, "--provider", "demo"], "required arguments"),
        (&["--subject", "alice", "--org", &org], "--provider"),
        (&["--subject", "alice", "--provider", "demo"], "--org"),
        (&["--issued-before", "2026-01-01T00:00:00Z"], "--org"),
        (&[&username, "--org", &org], "cannot be used with"),
        (&[&username, "--provider", "demo"], "cannot be used with"),
        (&[&username, &id], "unexpected argument"),
        (
            &["--issued-before", "now", "--org", &org],
            "issued_before: ",
        ),
        (
            &["--issued-before", "9000-01-01T00:00:00Z", "--org", &org],
            "in the future",
        ),
        (
            &["--subject", "alice", "--provider", "x", "--org", &org],
            "no such",
        ),
        (&["*"], "a token id is a UUID"),
        (&[], "required arguments"),
    ] {
        let error = site.fail(&[&["revoke"], arguments].concat());
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    assert!(site.can_connect(&username, &password).await);
}

#[test]
fn the_help_teaches_by_examples() {
    let help = Site::set_up().run(&["revoke", "--help"]);
    for example in [
        "revoke user_8f14e45f@org_",
        "revoke --subject 8f14e45f --provider supabase --org org_",
        "revoke 3f0c2a8e-6a54-4a57-9a0e-0d4f6b1c2d3e",
        "revoke key:",
        "revoke --issued-before 2026-",
        "--everything\n",
    ] {
        assert!(help.contains(example), "{example}: {help}");
    }
}
