//! `portico config schema`: JSON Schema (2020-12) of the file, for editors.

use serde_json::{Map, Value, json};
use toml::de::{DeTable, DeValue};

use super::key::{Default, Entry, Shape};
use super::{key, keys};
use crate::types::Tongue;

pub(crate) fn schema(tongue: Tongue) -> String {
    let mut root = object("Portico");
    root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    for section in keys::SECTIONS {
        let table = section_of(&mut root, section.at);
        table.insert("description".to_owned(), json!(section.text.pick(tongue)));
        for entry in section.keys {
            let name = key::last_part(entry.at());
            if matches!(entry.default(), Default::Required)
                && let Value::Array(required) = table.entry("required").or_insert_with(|| json!([]))
            {
                required.push(json!(name));
            }
            properties(table).insert(name.to_owned(), one(*entry, tongue));
        }
    }
    serde_json::to_string_pretty(&Value::Object(root)).unwrap_or_else(|_| "{}".to_owned())
}

fn object(title: &str) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("title".to_owned(), json!(title));
    map.insert("type".to_owned(), json!("object"));
    map.insert("additionalProperties".to_owned(), json!(false));
    map.insert("properties".to_owned(), json!({}));
    map
}

fn properties(table: &mut Map<String, Value>) -> &mut Map<String, Value> {
    child(table, "properties", || json!({}))
}

/// The object below a name, made if it is missing. What is there is always an object: only this file writes it.
fn child<'m>(
    map: &'m mut Map<String, Value>,
    name: &str,
    make: impl FnOnce() -> Value,
) -> &'m mut Map<String, Value> {
    // `additionalProperties` stands there as `false` until somebody asks for it.
    if !map.get(name).is_some_and(Value::is_object) {
        map.insert(name.to_owned(), make());
    }
    let value = map.entry(name.to_owned()).or_insert_with(|| json!({}));
    value.as_object_mut().expect("`make` makes objects, and nothing else is kept")
}

/// Walks to a section's object, making the way: `plan.*` is whatever name, `model[]` each item of a list.
fn section_of<'m>(root: &'m mut Map<String, Value>, at: &str) -> &'m mut Map<String, Value> {
    let mut table = root;
    for part in at.split('.') {
        table = match (part, part.strip_suffix("[]")) {
            ("*", _) => child(table, "additionalProperties", || Value::Object(object("NAME"))),
            (_, Some(name)) => {
                let list =
                    child(properties(table), name, || json!({ "type": "array", "items": object(name) }));
                child(list, "items", || Value::Object(object(name)))
            }
            (name, None) => child(properties(table), name, || Value::Object(object(name))),
        };
    }
    table
}

fn one(entry: &dyn Entry, tongue: Tongue) -> Value {
    let mut value = of_shape(&entry.shape());
    value.insert("description".to_owned(), json!(entry.text().pick(tongue)));
    if let Default::Is(written) = entry.default()
        && let Some(default) = as_json(written)
    {
        value.insert("default".to_owned(), default);
    }
    Value::Object(value)
}

const DURATION: &str = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
const SIZE: &str = "^[0-9]+(B|KiB|MiB|GiB|TiB|KB|MB|GB)?$";

fn of_shape(shape: &Shape) -> Map<String, Value> {
    let value = match shape {
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Whole { min, max, zero } => {
            let min = if zero.is_some() { 0 } else { *min };
            json!({ "type": "integer", "minimum": min, "maximum": max })
        }
        Shape::Number { min, max } => json!({ "type": "number", "minimum": min, "maximum": max }),
        Shape::Period { .. } => json!({ "type": "string", "pattern": DURATION }),
        Shape::Size { .. } => json!({ "type": "string", "pattern": SIZE }),
        Shape::Words(words) => json!({ "type": "string", "enum": words }),
        Shape::Form(_) => json!({ "type": "string" }),
        Shape::WordsOr(words, other) => {
            json!({ "anyOf": [{ "type": "string", "enum": words }, of_shape(other)] })
        }
        Shape::List { item, max } => json!({ "type": "array", "items": of_shape(item), "maxItems": max }),
    };
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A default as it would stand in the file, as JSON.
fn as_json(written: &str) -> Option<Value> {
    let document = format!("default = {written}");
    let table = DeTable::parse(&document).ok()?;
    value_as_json(table.get_ref().get("default")?.get_ref())
}

pub(crate) fn value_as_json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => json!(i64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::Float(number) => json!(number.as_str().parse::<f64>().ok()?),
        DeValue::Boolean(flag) => json!(flag),
        DeValue::Datetime(_) => return None,
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| value_as_json(item.get_ref())).collect::<Option<Vec<_>>>()?)
        }
        DeValue::Table(table) => Value::Object(
            table
                .iter()
                .map(|(name, value)| Some((name.get_ref().to_string(), value_as_json(value.get_ref())?)))
                .collect::<Option<Map<_, _>>>()?,
        ),
    })
}
