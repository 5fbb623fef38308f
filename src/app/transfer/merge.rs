//! What takes the place of a record that is there already.

use std::sync::Arc;

use crate::credential::holder::{Credential, CredentialKind, Holder};
use crate::names::marks::Marks;
use crate::store::record::Record;

/// The imported record, with what was revoked since the export as revoked as it is.
pub fn merged(current: &Record, imported: Record) -> Record {
    match (current, imported) {
        (Record::Holder(current), Record::Holder(imported)) => {
            let mut holder = Arc::unwrap_or_clone(imported);
            for credential in &mut holder.credentials {
                keep_revoked(current, credential);
            }
            Record::Holder(Arc::new(holder))
        }
        (Record::Organization(current), Record::Organization(imported)) => {
            let mut organization = Arc::unwrap_or_clone(imported);
            keep_marks(&current.marks, &mut organization.marks);
            Record::Organization(Arc::new(organization))
        }
        (Record::ApiKey(current), Record::ApiKey(imported)) => {
            let mut key = Arc::unwrap_or_clone(imported);
            key.revoked_at = key.revoked_at.or(current.revoked_at);
            key.replaced = key.replaced.or_else(|| current.replaced.clone());
            Record::ApiKey(Arc::new(key))
        }
        (Record::LegacyKeys(current), Record::LegacyKeys(imported)) => {
            let keys = current.as_ref().clone().and(&imported);
            Record::LegacyKeys(Arc::new(keys))
        }
        (_, imported) => imported,
    }
}

fn keep_revoked(current: &Holder, imported: &mut Credential) {
    let current = match &imported.kind {
        CredentialKind::Token { id, .. } => current.token(*id),
        CredentialKind::Password(_) => current.password().map(|(credential, _)| credential),
    };
    let revoked_at = current.and_then(|current| current.revoked_at.clone());
    imported.revoked_at = imported.revoked_at.take().or(revoked_at);
}

/// A mark never goes back.
fn keep_marks(current: &Marks, imported: &mut Marks) {
    imported.epoch = imported.epoch.max(current.epoch);
    imported.not_issued_before = imported.not_issued_before.max(current.not_issued_before);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::store::record::RecordKey;

    fn read(key: &str, record: &Value) -> Record {
        let key: RecordKey = key.parse().unwrap();
        let text = json!({ "v": 1, "record": record }).to_string();
        Record::decode(&key, &text).unwrap()
    }

    fn with(record: &Value, fields: &[(&str, i64)]) -> Value {
        let mut record = record.clone();
        for (name, value) in fields {
            record[*name] = json!(value);
        }
        record
    }

    #[test]
    fn marks_never_go_back() {
        let key = "org:org_k7xm4pqr2n5t";
        let (id, alias) = ("org_k7xm4pqr2n5t", uuid::Uuid::nil());
        let plain = json!({ "id": id, "alias": alias, "name": "new", "created_at": 0 });
        let (epoch, before) = ("epoch", "not_issued_before");
        for (current, imported, expected) in [
            (&[][..], &[][..], &[][..]),
            (&[(epoch, 2), (before, 9)], &[], &[(epoch, 2), (before, 9)]),
            (
                &[(epoch, 1), (before, 9)],
                &[(epoch, 2)],
                &[(epoch, 2), (before, 9)],
            ),
            (&[(before, 5)], &[(before, 9)], &[(before, 9)]),
            (&[(before, 9)], &[(before, 5)], &[(before, 9)]),
        ] {
            let mut older = with(&plain, current);
            older["name"] = json!("old");
            let merged = merged(&read(key, &older), read(key, &with(&plain, imported)));
            assert_eq!(merged, read(key, &with(&plain, expected)));
        }
    }

    #[test]
    fn a_revoked_api_key_stays_revoked() {
        let key = "key:0123456789";
        let plain = json!({
            "id": "0123456789",
            "organization": "org_k7xm4pqr2n5t",
            "kind": "secret",
            "name": "k",
            "scopes": [],
            "last_four": "abcd",
            "pepper": "Ab3z",
            "digest": vec![7; 32],
            "created_at": 0,
        });
        let revoked = read(key, &with(&plain, &[("revoked_at", 9)]));
        assert_eq!(merged(&revoked, read(key, &plain)), revoked);
        assert_eq!(merged(&read(key, &plain), revoked.clone()), revoked);
    }

    #[test]
    fn a_user_who_was_locked_out_is_not_let_in_by_an_older_password() {
        let key = "holder:u@org_k7xm4pqr2n5t";
        let user = |password: &str, revoked: Option<i64>| {
            let mut credential = json!({ "password": password, "issued_at": 0 });
            credential["revoked_at"] = json!(revoked);
            let holder = json!({
                "name": "u",
                "organization": "org_k7xm4pqr2n5t",
                "identity": "static",
                "credentials": [credential],
            });
            read(key, &holder)
        };
        let merged = merged(&user("new", Some(9)), user("old", None));
        assert_eq!(merged, user("old", Some(9)));
    }
}
