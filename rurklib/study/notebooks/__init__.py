"""The numbered notebooks: what papermill is asked (``notebook``), and in which order."""
