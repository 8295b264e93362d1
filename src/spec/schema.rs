//! The JSON Schema of specs.

use schemars::{
    Schema,
    generate::SchemaSettings,
    transform::{Transform, transform_subschemas},
};
use serde_json::Value;

use super::raw;

/// The JSON Schema of a layer spec (draft 2020-12), as `imgbuild schema` prints it, with a line break at its end.
pub fn json_schema() -> String {
    let settings = SchemaSettings::draft2020_12().with_transform(NoNulls);
    let mut schema = settings.into_generator().into_root_schema_for::<raw::File>();
    schema.insert("title".to_owned(), Value::from("imgbuild layer spec"));
    format!("{schema:#}\n", schema = schema.to_value())
}

/// Takes `null` out of the types of fields that may be missing: a field without a value is an error.
#[derive(Debug, Clone)]
struct NoNulls;

impl Transform for NoNulls {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
        for property in properties.values_mut() {
            drop_null(property);
        }
    }
}

fn drop_null(property: &mut Value) {
    let Value::Object(object) = property else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any)) = object.get_mut("anyOf") {
        any.retain(|schema| schema.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = any.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}
