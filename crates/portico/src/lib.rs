//! Portico: the front door for a self-hosted vision-language model.
