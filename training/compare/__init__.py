"""The controlled comparison: does predicting meaning pay? (docs/decisions/0061)"""
