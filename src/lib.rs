//! Headless billing for API developer portals.
