"""The company's memory in PostgreSQL: one module an aggregate.

Functions take a `pool.Tx`, one transaction of one company, so that several aggregates change together or not at all.
"""
