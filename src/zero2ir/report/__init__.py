"""The report: tables, figures and one page that show what each model type and strategy is worth."""
