from wsa.cli import main

raise SystemExit(main())
