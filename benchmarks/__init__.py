"""Measures this server beside others in one run and prints ratios.

Run it with ``make bench`` or ``python -m benchmarks``. A ratio of two servers measured minutes
apart on one machine means something; a figure alone, or against last month's, does not. So this
package has no stored expectations: every number in a table comes from the same run.

- ``jobs``: what is asked of a server; the scripts themselves are in ``scripts/``
- ``peers``: the servers, as data
- ``environments``: a virtual environment for each peer
- ``server``: one running server process group, its first answer, its end
- ``processes``: CPU and memory of a tree of processes, from ``/proc``
- ``load``, ``client``: load generators
- ``study``: the order of runs, and the samples they give
- ``results``: medians, ratios, budgets
- ``report``, ``chart``: tables and pictures
"""
