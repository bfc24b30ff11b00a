//! Tagged unions, said so that every generator can read them.
//!
//! utoipa describes a variant of `#[serde(tag = "…")]` as `allOf` of the variant's struct and the tag.
//! That contradicts the struct's own `additionalProperties: false`, and generators drop it. Here the
//! tag moves into the struct's schema, and the union becomes `oneOf` of those by a `discriminator`.

use utoipa::openapi::schema::{Discriminator, OneOf};
use utoipa::openapi::{Components, Object, RefOr, Schema};

const SCHEMAS: &str = "#/components/schemas/";

/// One variant: the address of its schema, the name of the tag, the tag's value and its schema.
struct Variant {
    location: String,
    tag: String,
    value: String,
    schema: RefOr<Schema>,
}

/// Rewrites every tagged union among the components. One that has a variant that is not a named
/// struct stays as it is; the test of the description refuses it.
pub(super) fn say_by_discriminator(components: &mut Components) {
    let mut moved = Vec::new();
    for schema in components.schemas.values_mut() {
        let RefOr::T(Schema::OneOf(union)) = schema else {
            continue;
        };
        if let Some(variants) = variants(union) {
            rewrite(union, &variants);
            moved.extend(variants);
        }
    }
    for variant in moved {
        let name = variant.location.trim_start_matches(SCHEMAS);
        if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(name) {
            add_tag(object, variant);
        }
    }
}

fn variants(union: &OneOf) -> Option<Vec<Variant>> {
    union.items.iter().map(variant).collect()
}

fn variant(item: &RefOr<Schema>) -> Option<Variant> {
    let RefOr::T(Schema::AllOf(parts)) = item else {
        return None;
    };
    let [RefOr::Ref(reference), RefOr::T(Schema::Object(tagged))] = parts.items.as_slice() else {
        return None;
    };
    let (tag, schema) = tagged.properties.first()?;
    let RefOr::T(Schema::Object(words)) = schema else {
        return None;
    };
    let value = words.enum_values.as_ref()?.first()?.as_str()?;
    Some(Variant {
        location: reference.ref_location.clone(),
        tag: tag.clone(),
        value: value.to_owned(),
        schema: schema.clone(),
    })
}

fn rewrite(union: &mut OneOf, variants: &[Variant]) {
    let Some(first) = variants.first() else {
        return;
    };
    let mapping = variants
        .iter()
        .map(|variant| (variant.value.clone(), variant.location.clone()));
    union.discriminator = Some(Discriminator::with_mapping(first.tag.clone(), mapping));
    union.items = variants
        .iter()
        .map(|variant| utoipa::openapi::Ref::new(variant.location.clone()).into())
        .collect();
}

fn add_tag(object: &mut Object, variant: Variant) {
    if !object.required.contains(&variant.tag) {
        object.required.insert(0, variant.tag.clone());
    }
    let others = std::mem::take(&mut object.properties);
    object.properties.insert(variant.tag, variant.schema);
    object.properties.extend(others);
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;
    use utoipa::{PartialSchema, ToSchema};

    use super::*;

    #[derive(Serialize, Deserialize, ToSchema)]
    #[serde(tag = "model", rename_all = "snake_case")]
    enum Pricing {
        Free(FreePricing),
        PerSeat(PerSeatPricing),
    }

    #[derive(Serialize, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    struct FreePricing {}

    #[derive(Serialize, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    struct PerSeatPricing {
        amount: i64,
    }

    #[test]
    fn a_tagged_union_is_one_of_its_structs_by_the_tag() {
        let mut components = Components::new();
        components
            .schemas
            .insert("Pricing".to_owned(), Pricing::schema());
        let mut variants = Vec::new();
        Pricing::schemas(&mut variants);
        components.schemas.extend(variants);
        say_by_discriminator(&mut components);
        let told = serde_json::to_value(&components.schemas).unwrap();
        assert_eq!(
            told,
            json!({
                "Pricing": {
                    "oneOf": [
                        {"$ref": "#/components/schemas/FreePricing"},
                        {"$ref": "#/components/schemas/PerSeatPricing"}
                    ],
                    "discriminator": {"propertyName": "model", "mapping": {
                        "free": "#/components/schemas/FreePricing",
                        "per_seat": "#/components/schemas/PerSeatPricing"
                    }}
                },
                "FreePricing": {
                    "type": "object",
                    "required": ["model"],
                    "properties": {"model": {"type": "string", "enum": ["free"]}},
                    "additionalProperties": false
                },
                "PerSeatPricing": {
                    "type": "object",
                    "required": ["model", "amount"],
                    "properties": {
                        "model": {"type": "string", "enum": ["per_seat"]},
                        "amount": {"type": "integer", "format": "int64"}
                    },
                    "additionalProperties": false
                }
            })
        );
        // What the description promises is what is written and read.
        let seats = Pricing::PerSeat(PerSeatPricing { amount: 5 });
        let written = serde_json::to_value(&seats).unwrap();
        assert_eq!(written, json!({"model": "per_seat", "amount": 5}));
        let read = |value| serde_json::from_value::<Pricing>(value);
        assert!(matches!(
            read(json!({"model": "free"})),
            Ok(Pricing::Free(_))
        ));
        assert!(read(json!({"model": "free", "amount": 5})).is_err());
    }
}
