"""Trouble on purpose: what the server does under overload, crashes, kills, swaps and bad clients.

``make soak`` runs the mixture for minutes and ends 0 only if nothing was lost; ``python -m soak
crash swap`` measures one kind of trouble at a time, beside another server if asked.

- `__main__`: parse, run, print.
- `experiments`, `overload`, `leak`: one kind of trouble each, over any server that takes our flags.
- `mixture`: all of them at once, against ours.
- `target`: a running server. `clients`: those that speak to it. `ledger`: what the script ran.
- `sampling`: memory, descriptors, processes. `report`: figures, targets, the table.

May import `benchmarks`. Nothing imports this; it is not in the wheel.
"""
