//! What a type keeps of a document, against the document: the type is written out, and each value that comes is looked
//! for where it should stand. Nothing of it is set aside.

use std::fmt::Error;

use serde::Serialize;
use serde::ser::{Impossible, SerializeMap, SerializeSeq, SerializeStruct, Serializer};
use serde_json::{Map, Value};

use super::Finding;
use super::typed::{Object, Path};

/// Compares what stands at `path` of `object` with what its type keeps of it.
///
/// The type ignores a field that it doesn't know and fills in one that it requires, where the API server
/// refuses both. It so also finds a volume claim template without `apiVersion` and `kind`: the API server
/// adds these two, after which Argo CD sees a difference for ever.
pub(super) struct Comparison<'a> {
    pub(super) object: &'a Object,
    pub(super) path: &'a Path<'a>,
    pub(super) written: &'a Value,
    pub(super) findings: &'a mut Vec<Finding>,
}

impl<'a> Comparison<'a> {
    /// What is said of a scalar that the type keeps as another one.
    fn differs(self, known: &Value) {
        let Self { object, path, written, findings } = self;
        let is_same = match (written, known) {
            // A quantity may be written as a number, and is kept as a string. No other type takes one for the other.
            (Value::Number(number), Value::String(text)) => text.parse().ok() == number.as_f64(),
            _ => false,
        };
        if !is_same {
            findings.push(object.finding(path, format!("{written} is understood as {known}")));
        }
    }

    /// The map that should be there.
    fn fields(self) -> Result<Fields<'a>, Error> {
        let Value::Object(written) = self.written else { return Err(Error) };
        Ok(Fields { seen: Vec::with_capacity(written.len()), written, of: self })
    }
}

/// It says nothing, yet `kubectl apply` reads it as "remove this field".
const NULL: &str = "null: leave the field out";

/// A map, of which the type writes one field after the other.
pub(super) struct Fields<'a> {
    of: Comparison<'a>,
    written: &'a Map<String, Value>,
    /// The fields that the type knows of, or the keys.
    seen: Vec<&'a str>,
}

impl Fields<'_> {
    fn field(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        let Comparison { object, path, ref mut findings, .. } = self.of;
        let below = &Path::Field(path, key);
        let Some((key, written)) = self.written.get_key_value(key) else {
            let filled_in = object.foreign
                && matches!(key, "apiVersion" | "kind")
                && String::from(path).contains("volumeClaimTemplates[");
            if !filled_in {
                findings.push(object.finding(below, "required field is missing"));
            }
            return Ok(());
        };
        self.seen.push(key);
        if written.is_null() {
            findings.push(object.finding(below, NULL));
            return Ok(());
        }
        value.serialize(Comparison { object, path: below, written, findings })
    }

    /// What is said of the fields that the type has not written.
    fn others(self) {
        let Comparison { object, path, findings, .. } = self.of;
        if self.seen.len() == self.written.len() {
            return;
        }
        for (key, value) in self.written.iter().filter(|(key, _)| !self.seen.contains(&key.as_str())) {
            let message = match value {
                // kubectl writes this one itself.
                Value::Null if object.foreign && key == "creationTimestamp" => continue,
                Value::Null => NULL,
                _ => "unknown field",
            };
            findings.push(object.finding(&Path::Field(path, key), message));
        }
    }
}

/// A list, of which the type writes one item after the other.
pub(super) struct Items<'a> {
    of: Comparison<'a>,
    written: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
}

impl SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.field(key, value)
    }

    fn end(self) -> Result<(), Error> {
        self.others();
        Ok(())
    }
}

impl SerializeMap for Fields<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_entry<K, V>(&mut self, key: &K, value: &V) -> Result<(), Error>
    where
        K: Serialize + ?Sized,
        V: Serialize + ?Sized,
    {
        let Ok(Value::String(key)) = serde_json::to_value(key) else { return Err(Error) };
        self.field(&key, value)
    }

    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Error> {
        Err(Error)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Error> {
        Err(Error)
    }

    fn end(self) -> Result<(), Error> {
        self.others();
        Ok(())
    }
}

impl SerializeSeq for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let (index, written) = self.written.next().ok_or(Error)?;
        let Comparison { object, path, ref mut findings, .. } = self.of;
        value.serialize(Comparison { object, path: &Path::Item(path, index), written, findings })
    }

    fn end(mut self) -> Result<(), Error> {
        if self.written.next().is_none() { Ok(()) } else { Err(Error) }
    }
}

/// Scalars of one type, each as JSON has it.
macro_rules! scalars {
    ($($serialize:ident($of:ty)),+) => {
        $(fn $serialize(self, value: $of) -> Result<(), Error> {
            if *self.written != value {
                self.differs(&value.into());
            }
            Ok(())
        })+
    };
}

/// The types of Kubernetes are structs, maps, lists and scalars: nothing else is compared.
impl<'a> Serializer for Comparison<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeMap = Fields<'a>;
    type SerializeSeq = Items<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Impossible<(), Error>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;

    scalars! {
        serialize_bool(bool), serialize_str(&str), serialize_f32(f32), serialize_f64(f64),
        serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit(self) -> Result<(), Error> {
        if !self.written.is_null() {
            self.differs(&Value::Null);
        }
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'a>, Error> {
        self.fields()
    }

    fn serialize_struct(self, _: &str, _: usize) -> Result<Fields<'a>, Error> {
        self.fields()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a>, Error> {
        let written = self.written.as_array().ok_or(Error)?.iter().enumerate();
        Ok(Items { of: self, written })
    }

    fn serialize_char(self, _: char) -> Result<(), Error> {
        Err(Error)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Error> {
        Err(Error)
    }

    fn serialize_unit_struct(self, _: &str) -> Result<(), Error> {
        Err(Error)
    }

    fn serialize_unit_variant(self, _: &str, _: u32, _: &str) -> Result<(), Error> {
        Err(Error)
    }

    fn serialize_newtype_variant<T: ?Sized>(self, _: &str, _: u32, _: &str, _: &T) -> Result<(), Error> {
        Err(Error)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        Err(Error)
    }

    fn serialize_tuple_struct(self, _: &str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        Err(Error)
    }

    fn serialize_tuple_variant(
        self,
        _: &str,
        _: u32,
        _: &str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(Error)
    }

    fn serialize_struct_variant(
        self,
        _: &str,
        _: u32,
        _: &str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(Error)
    }
}
