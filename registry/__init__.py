"""The registry speaks: protocols in front, the rules of a registry behind them."""
