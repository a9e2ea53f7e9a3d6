from visavis.app.cli import main

main()
