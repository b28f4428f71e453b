//! Pairs of a query or a form, from any value that serializes as pairs.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

use crate::target::push_component;

/// Appends pairs as `application/x-www-form-urlencoded` (WHATWG URL, section 5.2). A space is written as `space`. If
/// `follows`, a separator comes before the first pair.
///
/// The pairs are converted through JSON, which accepts every shape of pairs and keeps their order.
pub(crate) fn push<T: Serialize + ?Sized>(
    out: &mut String,
    value: &T,
    space: &str,
    follows: Option<char>,
) -> serde_json::Result<()> {
    let json = serde_json::to_vec(value)?;
    let Pairs(pairs) = serde_json::from_slice(&json)?;
    let mut separator = follows;
    for (key, value) in &pairs {
        out.extend(separator);
        separator = Some('&');
        push_component(out, key, space);
        out.push('=');
        push_component(out, value, space);
    }
    Ok(())
}

/// Pairs as a form, `application/x-www-form-urlencoded`: what [`RequestBuilder::form`](crate::RequestBuilder::form) sends.
///
/// # Errors
///
/// If the value does not consist of pairs.
pub fn encode_form<T: Serialize + ?Sized>(pairs: &T) -> serde_json::Result<String> {
    let mut form = String::new();
    push(&mut form, pairs, "+", None)?;
    Ok(form)
}

struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// `None` adds nothing, and a list repeats its key for each element.
    fn add<E: serde::de::Error>(&mut self, key: &str, value: Value) -> Result<(), E> {
        match value {
            Value::Null => {}
            Value::Bool(value) => self.0.push((key.to_owned(), value.to_string())),
            Value::Number(value) => self.0.push((key.to_owned(), value.to_string())),
            Value::String(value) => self.0.push((key.to_owned(), value)),
            Value::Array(values) if values.iter().all(|value| !value.is_array()) => {
                values.into_iter().try_for_each(|value| self.add(key, value))?;
            }
            Value::Array(_) | Value::Object(_) => {
                return Err(E::custom("a value is neither text, a number, a boolean nor a list of these"));
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape)
    }
}

struct Shape;

impl<'de> Visitor<'de> for Shape {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a struct or a list of pairs")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs = Pairs(Vec::new());
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            pairs.add(&key, value)?;
        }
        Ok(pairs)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Pairs, A::Error> {
        let mut pairs = Pairs(Vec::new());
        while let Some((key, value)) = list.next_element::<(Value, Value)>()? {
            let key = match key {
                Value::String(key) => key,
                Value::Number(key) => key.to_string(),
                _ => return Err(A::Error::custom("a key is neither text nor a number")),
            };
            pairs.add(&key, value)?;
        }
        Ok(pairs)
    }

    fn visit_unit<E>(self) -> Result<Pairs, E> {
        Ok(Pairs(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn encoded<T: Serialize + ?Sized>(value: &T) -> Option<String> {
        let mut out = String::new();
        push(&mut out, value, "+", None).ok().map(|()| out)
    }

    #[derive(Serialize)]
    struct Search<'a> {
        zebra: &'a str,
        apple: Option<u8>,
        none: Option<u8>,
        list: [f64; 2],
        on: bool,
    }

    #[test]
    fn every_shape_of_pairs_is_pairs() {
        let search = Search { zebra: "a b&c", apple: Some(1), none: None, list: [1.0, 0.5], on: true };
        assert_eq!(encoded(&search).unwrap(), "zebra=a+b%26c&apple=1&list=1.0&list=0.5&on=true");
        assert_eq!(encoded(&[("k", "v"), ("k", "ü")]).unwrap(), "k=v&k=%C3%BC");
        assert_eq!(encoded(&vec![("k".to_owned(), 7)]).unwrap(), "k=7");
        assert_eq!(encoded(&(("a", 1), ("b", "c"))).unwrap(), "a=1&b=c");
        assert_eq!(encoded(&BTreeMap::from([("a", vec!["x", "y"])])).unwrap(), "a=x&a=y");
        assert_eq!(encoded(&Some([("a", "b")])).unwrap(), "a=b");
        assert_eq!(encoded::<[(&str, &str)]>(&[]).unwrap(), "");
        assert_eq!(encoded(&()).unwrap(), "");
    }

    #[test]
    fn what_is_no_pair_is_an_error() {
        for value in [json!(1), json!("a=b"), json!(["a"]), json!([["a", "b", "c"]]), json!({"a": {"b": 1}})]
        {
            assert!(encoded(&value).is_none(), "{value}");
        }
        assert!(encoded(&json!({"a": [[1]]})).is_none() && encoded(&json!([[null, 1]])).is_none());
    }
}
