/* There is nothing to call: see icu_data.c. */
