//! Changes to the catalogue, as they travel in the log and lie in storage 0.

use serde::{Deserialize, Serialize};

use crate::catalog::PUBLIC_SCHEMA_OID;
use crate::catalog::definition::{Object, Oid, Schema};
use crate::error::{Error, Result};

/// One change. A transaction's DDL is a list of them, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "edits are few and short-lived")]
pub enum Edit {
    /// Creates the object or replaces the one of the same oid.
    Put(Object),
    Delete(Oid),
}

impl Edit {
    pub fn oid(&self) -> Oid {
        match self {
            Edit::Put(object) => object.oid(),
            Edit::Delete(oid) => *oid,
        }
    }

    /// The largest oid in it.
    pub fn oid_max(&self) -> Oid {
        match self {
            Edit::Put(object) => object.oid_max(),
            Edit::Delete(oid) => *oid,
        }
    }

    /// The bytes of a `Record::Catalog`.
    pub fn encode_list(edits: &[Edit]) -> Vec<u8> {
        serde_json::to_vec(edits).expect("definitions are maps with string keys, which JSON always takes")
    }

    pub fn decode_list(bytes: &[u8]) -> Result<Vec<Edit>> {
        serde_json::from_slice(bytes).map_err(|e| Error::corrupt("log", 0, "a list of catalogue edits", e))
    }

    /// Key and value in the tree of storage 0; no value deletes the row. A database begins with the schema "public", so
    /// that its absence is what must be kept: as a schema without a name.
    pub fn entry(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        match self {
            Edit::Put(object) => (object_key(object.oid()), Some(encode_object(object))),
            Edit::Delete(oid) if *oid == PUBLIC_SCHEMA_OID => {
                let gone = Schema { oid: *oid, name: String::new(), comment: None };
                (object_key(*oid), Some(encode_object(&Object::Schema(gone))))
            }
            Edit::Delete(oid) => (object_key(*oid), None),
        }
    }
}

/// What a definition in storage 0 makes of the catalogue that a database begins with.
pub fn stored(object: Object) -> Edit {
    match &object {
        Object::Schema(schema) if schema.name.is_empty() => Edit::Delete(schema.oid),
        _ => Edit::Put(object),
    }
}

/// First byte of an object's key in storage 0.
pub const OBJECT_KEY: u8 = 1;
/// First byte of the key under which storage 0 keeps a sequence's logged value.
pub const SEQUENCE_KEY: u8 = 2;

/// `[OBJECT_KEY][oid, big-endian]`
pub fn object_key(oid: Oid) -> Vec<u8> {
    key(OBJECT_KEY, oid)
}

/// `[SEQUENCE_KEY][oid, big-endian]`
pub fn sequence_key(oid: Oid) -> Vec<u8> {
    key(SEQUENCE_KEY, oid)
}

pub fn encode_object(object: &Object) -> Vec<u8> {
    serde_json::to_vec(object).expect("definitions are maps with string keys, which JSON always takes")
}

pub fn decode_object(bytes: &[u8]) -> Result<Object> {
    serde_json::from_slice(bytes).map_err(|e| Error::corrupt("catalogue", 0, "a definition", e))
}

fn key(kind: u8, oid: Oid) -> Vec<u8> {
    let mut key = Vec::with_capacity(5);
    key.push(kind);
    key.extend_from_slice(&oid.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Column, ConstraintKind};
    use crate::types::Type;

    /// Definitions as `docs/formats.md` has them are read, and written like that again.
    #[test]
    fn definitions_are_encoded_as_documented() {
        let mood = r#"{"oid":16400,"array_oid":16401,"schema":"public","name":"mood","labels":[{"oid":16402,"order":4294967296,"text":"sad"}]}"#;
        let address = r#"{"oid":16410,"array_oid":16411,"relation":16412,"schema":"public","name":"address","fields":[{"number":1,"name":"zip","ty":"Int4"}],"next":3}"#;
        let span = r#"{"oid":16420,"array_oid":16421,"multirange_oid":16422,"multirange_array_oid":16423,"schema":"public","name":"span","multirange_schema":"public","multirange_name":"span_multirange","maker":{"schema":"public","name":"span"},"multirange_maker":{"schema":"public","name":"span_multirange"},"subtype":"Text","collation":"C","subtype_diff":"float8mi"}"#;
        let column = r#""name":"m","number":1,"not_null":false,"default":null,"identity":null"#;
        let index = r#""oid":9,"name":"i","table":8,"method":"Btree","columns":[1],"opclasses":[]"#;
        let index_end = r#""constraint":7,"hnsw":null,"ivfflat":null"#;
        let check = r#"{"oid":5,"name":"c","sql":"value > 0","not_valid":false}"#;
        let definitions = [
            format!(r#"{{"Enum":{{"definition":{mood},"comment":null}}}}"#),
            format!(r#"{{"Composite":{{"definition":{address},"comment":"x"}}}}"#),
            format!(r#"{{"Range":{{"definition":{span},"comment":"x"}}}}"#),
            format!(
                r#"{{"Domain":{{"oid":4,"schema":"public","name":"d","base":"Int4","not_null":false,"default":{{"sql":"1"}},"checks":[{check}],"comment":"x"}}}}"#
            ),
            format!(r#"{{"Index":{{{index},"unique":true,"nulls_equal":true,{index_end}}}}}"#),
            format!(r#"{{"Index":{{{index},"unique":true,{index_end}}}}}"#),
        ];
        for text in &definitions {
            let object = decode_object(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(String::from_utf8(encode_object(&object)).expect("JSON"), *text);
        }
        // The type of a column, and a constraint.
        for (ty, domain) in [(format!(r#"{{"Enum":{mood}}}"#), ""), (r#""Int4""#.into(), r#","domain":4"#)] {
            let text = format!(r#"{{{column},"ty":{ty}{domain}}}"#);
            let read: Column = serde_json::from_str(&text).expect("a column");
            let again = serde_json::to_string(&read).expect("JSON");
            assert!(again.contains(&format!(r#""ty":{ty}{domain}"#)), "{again}");
        }
        // From before intervals had fields, constraints INCLUDE, sequences CACHE and columns COLLATE.
        for (ty, expected) in [(r#""Interval""#, Type::Interval(None)), (r#""Time""#, Type::Time(None))] {
            let text = format!(r#"{{{column},"ty":{ty}}}"#);
            let read: Column = serde_json::from_str(&text).expect("a column");
            assert!(read.ty == expected && read.collation.is_none());
        }
        let sequence = r#"{"Sequence":{"oid":3,"schema":"public","name":"s","ty":"Int8","start":1,"increment":1,"min":1,"max":9,"cycle":false,"owned_by":null,"comment":null}}"#;
        let object = decode_object(sequence.as_bytes()).expect("a sequence");
        assert_eq!(String::from_utf8(encode_object(&object)).expect("JSON"), sequence);
        let unique = r#"{"Unique":{"columns":[1],"nulls_equal":true}}"#;
        let read: ConstraintKind = serde_json::from_str(unique).expect("a constraint");
        assert_eq!(serde_json::to_string(&read).expect("JSON"), unique);
    }
}
