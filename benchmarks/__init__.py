"""How fast Argyll is, measured beside a floor engine in the same run. Start with `python -m benchmarks`.

Nothing in the product imports this package.
"""
