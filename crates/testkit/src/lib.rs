//! Real and scripted parts for tests.
