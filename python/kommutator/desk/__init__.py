"""The desk's HTTP: the API under `/api`, and what watches the process (asyncio, Quart).

One folder a feature: `forms.py` has what goes in and out, `routes.py` the operations. SQL stays in `crm`.
"""
