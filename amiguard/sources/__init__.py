"""Where failures come from: Asterisk's manager interface and its log. Each source keeps itself alive."""
