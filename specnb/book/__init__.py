"""The book: notebooks run, results judged, pages written; no number is changed here."""
