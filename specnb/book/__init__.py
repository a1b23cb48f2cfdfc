"""The book: notebooks run, results judged, pages written; no number is changed here."""

from specnb import extras

extras.need(
    *("jupyter_book", "matplotlib", "nbformat", "papermill", "plotly", "pydantic", "seaborn"),
    extra="book",
    purpose="The book",
)
