//! Prices of models.

use std::{collections::BTreeMap, error, fmt};

use outbound_provider::Usage;
use serde_json::Value;

use super::amount::Money;

/// What a million tokens of one model cost.
///
/// | | default |
/// |---|---|
/// | `cached_input` (read from the provider's cache) | the price of input |
/// | `cache_write` (written to it) | the price of input |
/// | `reasoning` | the price of output |
/// | `request` (each call, beside its tokens) | nothing |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Price {
    input: Money,
    output: Money,
    cached_input: Option<Money>,
    cache_write: Option<Money>,
    reasoning: Option<Money>,
    request: Money,
}

/// Prices by the name of the model.
///
/// A model without a price of its own has that of a shorter name: the longest one that ends before a `-`, `@` or `:` of
/// the model's name. So a price of `gpt-4o` holds for `gpt-4o-2024-08-06` too, and not for `gpt-4omni`.
///
/// ```
/// use outbound::{Price, Prices};
///
/// let prices = Prices::new().model("small", Price::per_million(0.15, 0.60).cached_input(0.075));
/// let same = Prices::parse(r#"{"small": {"input": 0.15, "output": 0.60, "cached_input": 0.075}}"#)?;
/// assert_eq!(prices, same);
/// assert!(prices.get("small-2026-01-01").is_some());
/// # Ok::<(), outbound::PricesError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prices {
    models: BTreeMap<String, Price>,
}

/// A text is not a table of prices.
#[derive(Debug)]
pub struct PricesError(String);

/// What one request may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PriceEstimate {
    price: Price,
    /// The most it may cost: each byte of the body counts as a token, and all the output that it allows.
    pub(crate) most: Money,
}

impl Price {
    /// Dollars for a million tokens of input, and for a million of output.
    pub fn per_million(input: f64, output: f64) -> Self {
        let [input, output] = [input, output].map(Money::dollars);
        Self { input, output, cached_input: None, cache_write: None, reasoning: None, request: Money::ZERO }
    }

    /// Dollars for a million tokens read from the provider's cache.
    pub fn cached_input(mut self, dollars: f64) -> Self {
        self.cached_input = Some(Money::dollars(dollars));
        self
    }

    /// Dollars for a million tokens written to the provider's cache.
    pub fn cache_write(mut self, dollars: f64) -> Self {
        self.cache_write = Some(Money::dollars(dollars));
        self
    }

    /// Dollars for a million tokens of reasoning.
    pub fn reasoning(mut self, dollars: f64) -> Self {
        self.reasoning = Some(Money::dollars(dollars));
        self
    }

    /// Dollars for each call, in addition to its tokens.
    pub fn request(mut self, dollars: f64) -> Self {
        self.request = Money::dollars(dollars);
        self
    }

    /// All prices multiplied by this share: 0.5 for batches at half the price.
    pub fn at(self, share: f64) -> Self {
        let part = |price: Money| Money::dollars(price.as_dollars() * share);
        Self {
            input: part(self.input),
            output: part(self.output),
            cached_input: self.cached_input.map(part),
            cache_write: self.cache_write.map(part),
            reasoning: self.reasoning.map(part),
            request: part(self.request),
        }
    }

    /// What one call with these tokens costs.
    pub fn of(&self, usage: Usage) -> Money {
        let cached = usage.cached.min(usage.input);
        let written = usage.cache_written.min(usage.input - cached);
        let reasoning = usage.reasoning.min(usage.output);
        let parts = [
            (self.input, usage.input - cached - written),
            (self.cached_input.unwrap_or(self.input), cached),
            (self.cache_write.unwrap_or(self.input), written),
            (self.output, usage.output - reasoning),
            (self.reasoning.unwrap_or(self.output), reasoning),
        ];
        self.request + parts.into_iter().map(|(price, tokens)| price.times(tokens)).sum()
    }

    /// The most that this many tokens may cost.
    fn at_most(&self, input: u64, output: u64) -> Money {
        let dearest =
            |price: Money, others: [Option<Money>; 2]| others.into_iter().flatten().fold(price, Money::max);
        self.request
            + dearest(self.input, [self.cached_input, self.cache_write]).times(input)
            + dearest(self.output, [self.reasoning, None]).times(output)
    }
}

impl Prices {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the price of a model. It replaces an earlier one.
    #[must_use]
    pub fn model(mut self, name: impl Into<String>, price: Price) -> Self {
        self.models.insert(name.into(), price);
        self
    }

    /// All prices multiplied by this share: 0.5 for batches at half the price.
    #[must_use]
    pub fn at(mut self, share: f64) -> Self {
        self.models.values_mut().for_each(|price| *price = price.at(share));
        self
    }

    /// Reads a table in JSON: an object with an entry for each model. An entry is an object with `input` and `output`,
    /// and optionally `cached_input`, `cache_write`, `reasoning` and `request`. All are in dollars: `request` for one
    /// call, the others for a million tokens.
    ///
    /// # Errors
    ///
    /// If the text is no such table. The error says what is wrong, and with which model.
    pub fn parse(json: &str) -> Result<Self, PricesError> {
        let table: Value = serde_json::from_str(json).map_err(|error| PricesError(error.to_string()))?;
        let Value::Object(models) = table else {
            return Err(PricesError(String::from("a table of prices is an object of models")));
        };
        let mut prices = Self::new();
        for (name, fields) in models {
            let price = price(&fields).map_err(|why| PricesError(format!("the price of {name:?}: {why}")))?;
            prices = prices.model(name, price);
        }
        Ok(prices)
    }

    /// The price of a model: its own, or that of the longest shorter name.
    pub fn get(&self, model: &str) -> Option<&Price> {
        let ends = model.char_indices().rev().filter(|(_, end)| matches!(end, '-' | '@' | ':'));
        let names = std::iter::once(model).chain(ends.map(|(at, _)| &model[..at]));
        names.filter_map(|name| self.models.get(name)).next()
    }

    /// What a request may cost. `None` if its model has no price.
    pub(crate) fn estimate(&self, model: Option<&str>, body: usize, output: u64) -> Option<PriceEstimate> {
        let price = *self.get(model?)?;
        Some(PriceEstimate { price, most: price.at_most(body as u64, output) })
    }
}

impl PriceEstimate {
    /// What a call did cost, by the tokens that the reply reports. If it reports none, the most that it may have cost.
    pub(crate) fn cost(&self, usage: Option<Usage>) -> Money {
        usage.map_or(self.most, |usage| self.price.of(usage))
    }
}

fn price(fields: &Value) -> Result<Price, String> {
    let Value::Object(fields) = fields else { return Err(String::from("it is not an object")) };
    let mut price = Price::per_million(0.0, 0.0);
    for (name, value) in fields {
        let dollars = value.as_f64().filter(|dollars| *dollars >= 0.0);
        let dollars = dollars.ok_or_else(|| format!("{name} is not an amount of dollars"))?;
        match name.as_str() {
            "input" => price.input = Money::dollars(dollars),
            "output" => price.output = Money::dollars(dollars),
            "cached_input" => price = price.cached_input(dollars),
            "cache_write" => price = price.cache_write(dollars),
            "reasoning" => price = price.reasoning(dollars),
            "request" => price = price.request(dollars),
            _ => return Err(format!("there is no price called {name:?}")),
        }
    }
    for name in ["input", "output"] {
        if !fields.contains_key(name) {
            return Err(format!("{name} is missing"));
        }
    }
    Ok(price)
}

impl fmt::Display for PricesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for PricesError {}
