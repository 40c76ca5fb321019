//! JSON Schema of a raw type, in the form that editors and `shape` both like.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

/// Draft 7, because editors' YAML plug-ins read nothing newer; without null, anyOf and oneOf,
/// because an error inside of `anyOf` says only "none of these".
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    let mut schema = SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    without_null(&mut schema);
    schema
}

/// `Option` says "or null" to schemars; in our files an absent key is absent.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|one| one != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(words)) = map.get_mut("enum") {
                words.retain(|word| !word.is_null());
            }
            if let Some(Value::String(text)) = map.get_mut("description") {
                // Our doc comments are wrapped at 100 columns; editors wrap by themselves.
                *text = text
                    .replace("\n\n", "\u{0}")
                    .replace('\n', " ")
                    .replace('\u{0}', "\n\n");
            }
            if map.get("default") == Some(&Value::Null) {
                map.remove("default");
            }
            // "uint64" and the like are no formats of JSON Schema; strict editors complain.
            map.remove("format");
            if let Some(Value::Array(mut any)) = map.remove("anyOf") {
                any.retain(|one| one.get("type") != Some(&Value::from("null")));
                map.insert("allOf".to_owned(), Value::Array(any));
            }
            if map.len() == 1
                && let Some(Value::Array(all)) = map.get("allOf")
                && let [only] = all.as_slice()
            {
                *schema = only.clone();
                return without_null(schema);
            }
            for (_, inner) in map.iter_mut() {
                without_null(inner);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
