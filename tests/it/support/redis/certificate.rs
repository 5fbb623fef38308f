//! A certificate for 127.0.0.1, and an authority made for it alone.

use std::path::Path;
use std::process::Command;

const DAYS: &str = "2";

/// Writes `ca.pem`, `server.pem` and `server.key` into the folder.
pub fn write(folder: &Path) {
    // Not one self-signed certificate: clients refuse an authority that is itself the server.
    openssl(folder, "ca", &["-addext", "keyUsage=critical,keyCertSign"]);
    let signed = ["-CA", "ca.pem", "-CAkey", "ca.key"];
    let server = [
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-addext",
        "subjectAltName=IP:127.0.0.1,DNS:localhost",
    ];
    openssl(folder, "server", &[&signed[..], &server[..]].concat());
}

fn openssl(folder: &Path, name: &str, more: &[&str]) {
    let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
    let curve = "ec_paramgen_curve:P-256";
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", curve])
        .args(["-days", DAYS, "-subj", &format!("/CN=test {name}")])
        .args(["-keyout", &key, "-out", &certificate])
        .args(more)
        .output();
    let output = output.expect("openssl can be run; `scripts/test` installs what is needed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {name}: {said}");
}
