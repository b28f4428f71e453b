//! Money: what requests cost, and how much may be spent.

mod amount;
mod budget;
mod prices;

pub use self::{
    amount::Money,
    prices::{Price, Prices, PricesError},
};
pub(crate) use self::{
    budget::{Budget, BudgetReservation, Funds},
    prices::PriceEstimate,
};
