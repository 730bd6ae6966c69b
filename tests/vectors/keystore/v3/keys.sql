SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.accesses (
    seq integer NOT NULL,
    at bigint NOT NULL,
    purpose text NOT NULL,
    controller text NOT NULL,
    incarnation bytea NOT NULL,
    starts bigint NOT NULL,
    ends bigint NOT NULL,
    readings bigint NOT NULL,
    hash bytea NOT NULL
);
CREATE SEQUENCE public.accesses_seq_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.accesses_seq_seq OWNED BY public.accesses.seq;
CREATE TABLE public.accounts (
    erasure bytea NOT NULL,
    party text NOT NULL,
    kind text NOT NULL,
    process text NOT NULL,
    boot text NOT NULL,
    how text NOT NULL,
    at bigint NOT NULL
);
CREATE TABLE public.acts (
    seq bigint NOT NULL,
    act text NOT NULL,
    at bigint NOT NULL
);
CREATE SEQUENCE public.acts_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.acts_seq_seq OWNED BY public.acts.seq;
CREATE TABLE public.captures (
    capture bytea NOT NULL,
    controller text NOT NULL,
    e integer NOT NULL,
    sealed bytea NOT NULL
);
CREATE TABLE public.controllers (
    controller text NOT NULL,
    current_e integer NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.departures (
    controller text NOT NULL,
    seq bigint NOT NULL,
    step text NOT NULL,
    generation bigint NOT NULL,
    requested bigint NOT NULL,
    effective bigint,
    keys bigint NOT NULL
);
CREATE TABLE public.erasures (
    erasure bytea NOT NULL,
    controller text NOT NULL,
    incarnation bytea NOT NULL,
    seq bigint NOT NULL,
    step text NOT NULL,
    generation bigint NOT NULL,
    requested bigint NOT NULL,
    effective bigint,
    final bigint,
    evidence text,
    certified text,
    certified_final text,
    purge_due bigint,
    purge_boot text,
    purge_key bytea,
    capture bytea,
    rows_first bigint,
    rows_second bigint
);
CREATE TABLE public.fences (
    fence_id bytea NOT NULL,
    controller text NOT NULL,
    kind text NOT NULL,
    hash bytea NOT NULL,
    month integer NOT NULL,
    erasure bytea NOT NULL,
    starts bigint NOT NULL,
    ends bigint,
    expires bigint,
    refused bigint
);
CREATE TABLE public.glomska_schema (
    version bigint NOT NULL
);
CREATE TABLE public.holds (
    key_id bytea NOT NULL,
    erasure bytea NOT NULL,
    controller text NOT NULL,
    key_class text NOT NULL,
    until bigint NOT NULL,
    law text NOT NULL,
    released bytea
);
CREATE TABLE public.horizons (
    controller text NOT NULL,
    key_class text NOT NULL,
    epoch integer NOT NULL,
    moved bigint NOT NULL
);
CREATE TABLE public.incarnations (
    incarnation bytea NOT NULL,
    controller text NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.keks (
    controller text NOT NULL,
    e integer NOT NULL,
    wrapped bytea NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.keys (
    key_id bytea NOT NULL,
    incarnation bytea NOT NULL,
    controller text NOT NULL,
    key_class text NOT NULL,
    version integer NOT NULL,
    base integer NOT NULL,
    e integer NOT NULL,
    wrapped bytea,
    commitment bytea,
    state text NOT NULL,
    valid_from bigint NOT NULL
);
CREATE TABLE public.quarantine (
    item bytea NOT NULL,
    controller text NOT NULL,
    kind text NOT NULL,
    found bigint NOT NULL
);
CREATE TABLE public.records (
    record_id bytea NOT NULL,
    incarnation bytea NOT NULL,
    key_class text NOT NULL,
    version integer NOT NULL,
    epoch integer NOT NULL,
    kind text NOT NULL,
    sealed bytea NOT NULL
);
CREATE TABLE public.routes (
    route_id bytea NOT NULL,
    controller text NOT NULL,
    kind text NOT NULL,
    hash bytea NOT NULL,
    e integer NOT NULL,
    incarnation bytea NOT NULL,
    area text NOT NULL,
    valid_from bigint NOT NULL,
    valid_to bigint
);
CREATE TABLE public.secrets (
    key_id bytea NOT NULL,
    controller text NOT NULL,
    kind text NOT NULL,
    version integer NOT NULL,
    e integer NOT NULL,
    wrapped bytea NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.state (
    one integer NOT NULL,
    generation bigint NOT NULL,
    ledger bytea,
    token bigint NOT NULL,
    access_head bytea NOT NULL
);
CREATE SEQUENCE public.state_one_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.state_one_seq OWNED BY public.state.one;
CREATE TABLE public.suspensions (
    scope text NOT NULL,
    since bigint NOT NULL
);
CREATE TABLE public.transitions (
    id integer NOT NULL,
    key_id bytea NOT NULL,
    state text NOT NULL,
    at bigint NOT NULL
);
CREATE SEQUENCE public.transitions_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.transitions_id_seq OWNED BY public.transitions.id;
CREATE TABLE public.turnovers (
    controller text NOT NULL,
    e integer NOT NULL,
    seq bigint NOT NULL,
    step text NOT NULL,
    generation bigint NOT NULL,
    started bigint NOT NULL,
    finished bigint,
    cursor bytea,
    purge_key bytea,
    purge_due bigint,
    purge_boot text,
    expired bigint NOT NULL,
    ratcheted bigint NOT NULL,
    rewrapped bigint NOT NULL
);
CREATE TABLE public.workers (
    worker bytea NOT NULL,
    boot text NOT NULL,
    generation bigint NOT NULL,
    lease bigint NOT NULL,
    deadline bigint NOT NULL,
    renewed bigint NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    process text DEFAULT ''::text NOT NULL
);
CREATE TABLE public.wrappings (
    controller text NOT NULL,
    e integer NOT NULL,
    custodian text NOT NULL,
    attested integer NOT NULL,
    residue text NOT NULL,
    destroyed bigint NOT NULL
);
ALTER TABLE ONLY public.accesses ALTER COLUMN seq SET DEFAULT nextval('public.accesses_seq_seq'::regclass);
ALTER TABLE ONLY public.acts ALTER COLUMN seq SET DEFAULT nextval('public.acts_seq_seq'::regclass);
ALTER TABLE ONLY public.state ALTER COLUMN one SET DEFAULT nextval('public.state_one_seq'::regclass);
ALTER TABLE ONLY public.transitions ALTER COLUMN id SET DEFAULT nextval('public.transitions_id_seq'::regclass);
INSERT INTO public.accounts VALUES ('\xe5dc0c1f1fe984988b5d6d933f75a1a7', 'a2c3e6271827e14fb7c14d371b4f2f00', 'worker', '3d1219c7c4c5404aaa1f6d2a48adfda4 ef4b9d67-69ea-4896-b2f8-6940cfe11c26 pid:[4026531836] 11362 208306', 'ef4b9d67-69ea-4896-b2f8-6940cfe11c26', 'acknowledged', 1772323200000000000);
INSERT INTO public.accounts VALUES ('\xe5dc0c1f1fe984988b5d6d933f75a1a7', 'queues 3d1219c7c4c5404aaa1f6d2a48adfda4', 'queues', '', '', 'purged', 1772323200000000000);
INSERT INTO public.accounts VALUES ('\xe5dc0c1f1fe984988b5d6d933f75a1a7', 'broker', 'broker', '', '', 'purged', 1772323200000000000);
INSERT INTO public.acts VALUES (1, 'enrol', 1772323200000000000);
INSERT INTO public.acts VALUES (3, 'enrol', 1772323200000000000);
INSERT INTO public.acts VALUES (5, 'erase', 1772323200000000000);
INSERT INTO public.controllers VALUES ('heat-co', 1, 1772323200000000000);
INSERT INTO public.erasures VALUES ('\xe5dc0c1f1fe984988b5d6d933f75a1a7', 'heat-co', '\xae9b157f0a9db40e6fe2f26133a011e1', 5, 'purged_once', 2, 1772323200000000000, 1772323200000000000, NULL, '{"keys": [{"key_id": "950b414e0f27c543efce2ce5e8525869", "class": "billing", "version": 1, "base": 578, "commitment": "98beeafb2437d5b2b5f844e1307c4c389dbc427b33b22d69aba48539dafb54f1", "e": 1}, {"key_id": "c31563e4bbab553114e72e1287e31b2c", "class": "identity", "version": 1, "base": 0, "commitment": "22c70bb56fec7abbfb55feac58b94ca22f0b16f9b45866b0435995e1485e1875", "e": 1}, {"key_id": "12e4e6480e9e73933a3fceb17c7159de", "class": "telemetry", "version": 1, "base": 650, "commitment": "99aa7b499fab2d30668097f52be318584fa6f352688ee02da2f3faf2f5eed387", "e": 1}], "fences": 2, "custodian": "file", "traces": 5}', '8d4ce39367019a70bad089696b996141ff6644a7045dbcbbed624f2318b975a4', NULL, 1000001000000000, 'ef4b9d67-69ea-4896-b2f8-6940cfe11c26', '\x126144de53c652ac607cfde7c7bbb61e', '\x0110553763ae1dfcfc38240b8f5eb464f28276992e1cec823f50ded83ec2d1b917e246aa238668dd8c5a86c685e339c3ed5e2d7fbd513910eda2e419569b17a13df79c3dcad0eb973f0089d75c988f6e71e01f958feca5d66d86606668a1d9fe723949e1b9199c0d3cc6f5ee44d6facca9b25217b6d0888f2f23d645b2762959e84cdbfe821110d28ba51f869e4435051e972fb72f8f746f3c74bd4335325f173fd4241082b2cec89fad1bac302f9542f38afa0df49e410df55d2abdff47561ba2b3931b69e3ff3d5cb21e7db19557efec87e3980d753c36b736c88dccb9f96f17969efeb09e968f35bf257158873e0b53c17092ba264383196cfaa0023d4bc9655a6063633de35594f7d783caedcca3c1666fe51947ca05c08267739be5dedab30215a621a0f5e57ffbefc830a2fedf08f603a48a97fb3b2f74af4f4ec16a550edac8049b22f80044548b585875b31e20b257924820c5c52455a5105fe33b7226801e23ffb7d461051197a2edc53c9a5e65ba730e3c2f3c09b07bb65133a56510ae1a9d864d92e2342a7d2a402bdeb789e408e7d60966dbbeb1f17d7daec109121e79e1d5ae1319961098438b8829fa6a352ccd2330dca94c5b48b9c2374a4c541bad0020926328163d1f893e040c1b470b1f8a0de3de3c13afcbbad0097d76c116c960e757954703f999593222d808a15f3a90f78992d6028ae17cbaed1dd3ea86e90af4fc76e60ee3c7053850fb454944c758b6b5142f4617b38e6c9426ce872a08c83778b598c98ac0d71e456005f8554a9bcfbeb1f3b1b259da70cb1795a93e5363973ca4d23dc3e19a93b870b286fcaece1dc291b7ae760f1f96fed99acdf2461f727a9a8fbbdedf487fa6b455ec3c6deb613e2415b238bd3e63232f36fe74aff927b01ec0fc515b65c7c4a26dd0fceed504a2b75812f9956e1a69d811fa30f2a6268f53218f31bfcedc201a6e4f60ef34ed735eb4812391ceb585cfcfd2ebb47f4c27afd56ed163a849cec2ef393e00cfd57a8f862984321db1eebcd1087839bc6122593f7e30dac4e9a2990ffac7b7cf8e0844af45d546efcc22f8945038f42e276d7acc26a88619ec78d14a5b2889f029fb3e4295c9a8fc332ed1cbf21684c8d1b0cd18e104696db5b7defc06884870672b64e07c12b6e2237f10987146b6699bfb9ef53315a5571107398674a56e95b3118e248ca0713b81638ab0a7fc070dc06b513cc1ab02f83752db4fb8856156cd235e8a91df9b77bf976f9eec22dfc49220bbc54f10120864bdc4afe431c04e73fdb58fab083b5acdd4af5e7583f9a19a5a9a33c38f1183ca5463421970c7af6c1b239294d2bc82b8e95dde575d5eedc799b3ef1f02bd7b5b9ec903b2f415678b531e7c4edccaa1551a2f22fd8ae6174cbf388b3128c79546209b96d7ac6d97851b5da3da0a0044de569e9451da42e0bfce24d96ec89034b151264745cd6f1617cfd9f50b81a3297e5d8a3e44976ffa4ea3c5aa008e2a04938d787ae1d260efbf5364324c046d4852e864c75c2162faf897bdf3b477b5af5c24c862ff74cf94e20bc75230eb90ca2cc68d51db94b013ccccb5d4c73c624ac22380c341d803f9128ef1db4aa0a6eb390ac438c36a06aaf4bf2ec5701d3a9218b1e43a677b670d87cf37570bc68ed3371bccce24cd963ead3247922c0fee775a6408bc53bb05ce1f47bf1bd12a31fee493b169f9d6ea7688950a5ba691b55bf8ae8828ac892bc5691c834b906c79c8927e9a0e98f6e1a1b409fdff27e850e13980b95371fdb70bdde64f2a4bcdeb4b9ef899f7b734c33724a11c2d5bf60043be77e722e6f5fed2f02704275dc730b8eb7c44b62517b636933d55becbf74376a035941264aff80dc717f9b0f8ff8c66792d19bb25e94d3d1fec10c729824ba6bc0a70c4b0bf20ce4b5a1c281f66aaa25328f8f97642f7a1216aefcd394db118713e17a0fe2d4208c20a9a39a55d4632c5ef990b6577f1ed495b39624c5c12e551fa140f6126cd1e5bf2b99e6de0f80e0ae6bfa5b491ea13f3e77cd119ff070e7d208084d283d8d871882a58825ac3944e893e76eade78c9714c60dd305f9c8b8c761945a179ff692af360d27cf73f37695fc40e56e4184d2f71e7314472153e4115f20a664636cbd272bfd03669292a546745d43cb8a6567d613d9c5a06794d2daac7f0a055d5bd9bef1a0883ee7c1f47fdd40a2dc84849ace8493156893a3aef082e3449cb0dfe756633d37aa39d8a0d572d81ba0e17d31dbe151113a7be2dc6f4081b96f7f60cc16ada036e9a5b1e6cf7bc5f919fb8a281b0e8deb7a7d19b901979c33a0b17eb49dc3e827583927ed9ec6e654847d627b20d959307f2018457a7b24fca1efb6e546bb0613ff7ca57044a1b7ba84fa5991a8d6826d7ec62dd24c52a44e2dcccb0b0078f5131d0b58065d337f6217beaf1092610d597869223a7d23e3c9eaa5a941a9f26c6deead5c4d47e52d57d1bd2571578b5d49ef838cb27fffc01ad1071ef0e1f2a31adb6768a7b9e6281428bfce0174343a94cbb100a1f12426beece8ec26d757d3a7bca1f82e6d4e60821624d2bf45da1a612a7349791eec5070c8a480a7ab1f893c68f155f3aeaebe6dfac131f3ffabaf4f5b261df99c9a962df1d3a7daac58a359730427af9670887d8fabe5f4fa84c12a6f807408110e8fa2ff000bdf7eb0b140b693e099119fa696f470bb14600b3d120a81916c11a6131b7001f53ca4e8e3fe9b3cabe56919098ec94c395999de4e4611c4943f85bca21a672d51e9a72168b581c5e1fb2a4153aa4fd4731a33b3a3af4ebb21bf616ac7d503995c621827591caa3c9006c9ce598e0a4f79ebb16f3168318160fbd00d2252b73d34a13cc7eb4eb8cbe58dec96f72d5b4cc6a61d2460df2f321b81af09a0bb20e7fb09aaffa8de1b6985a375bc7198979242a4be8a8aefe00f72479634c949bea95cb5b2f26c7f6cc2fc39bdcd963a4766af922cd5ec508e7b5f3575a4b6ccdca1de156a4398c80c138fd1c017d94381ff2c68d616a4e31807b16c7a7da1aec56cbd9ca9ca55e3353ba05627c4dac5a63fe2e25d78ddacc2463f74e0c4f38cbfb1e56bf429bdae00482a051e999203934cbf4e2cdd0ea379893d87c2590e3170c46cc6284b8df786134e2c23a9099714fb0baa043d3b794e59a115abfe8d53a579d4875a7daaefe15ff3753acb8b1d2716c3d43ec84228262f2b43a1b897b6e8add7c6d533a21313dd5231aefe65cd6c494cf32daf909138d3b4c6c38c1112d9351bebc4d96aa041cfcc1ecd04be7f3029ae10ba50342fed23d53c56defb70cb19ebb5c296badb634f5123d438cd1a82598f753abae24a9a821ed3e29d43f754482f46cb1561876f53b5fd0a08db8f56dad770e1d8d0c3173227ae57e829aee33fab8838b41b9eb2e9724943a03c406a4e2fe826401aa25fa599d448645a6cd7229dcccc227e57175fbe511846ea9fa4bfc9b695235b6a4a5835874c1e577a9d1532a264e54f3f849864a12b9098efe992dff3b4993bc4ce7603d9358bc39ded2490cb7b050b61f057fdbe7fd6ffbb84e8c69d405e4d7d213fb900c2cb9b05c04ea5acd37430fde9b0bfee1e51173c79d0ec6237429bda5ff84382be431593361dc5c630dca76e25931d983aeaf8ba8bcd9f04672ba4298460db9854c0e64c3be77f87e5e0765536248d2325790f58c026672e83f0f62791b36fa948a5add89211efdc5485dc3c9bfe4cd1f205413236fa16d078670e27a794ad1e27036305338aa9ea36a9aa20a42d4b3f2ce19776d9ca4d22a6746101a6f5215b7b6447ed7af2b9bf90f351e74e60208aded6a4e806d8600970fac9c75ec9f9fe6e82fdc50882794b1887ff1f983c32f8bf8a184ed6a2ff9c1f057bb050b677bfd1d7009ea2e8e64a256b6c61dc840823a8c2931e624ab3eb95557f7f02345728753ac36afa813dcdb095b3bfffe9c7a88f538fca55c1976113508ab03499bdb23fe326b49324ac1b46dd7c3c95763136f954b9f607ae4a4839bcd763862d50b1021a7630a51ea80849007b9a07a37a701ef1e462ea5894c061f4eb13cd401c83ba8759ce2f7c36a32185b9e4b56249405047cba06bb3f483c80414e0ca0f098069fa0f44192d8ec28385f8ad0a3fc9463664db3b41608eaef5b74e46d286a6c30f5bb68aba6154c13e8874bac926fedb9cc5ed8eb8933ae1ad30750423c7278f6322bf10c46fb66aa0fc1156d1e02c21175437a4a124a052dfb3c7cb0946ec1f63702db56b1bd2e8e4d6e53996fd9a7dca61f97f5d54e0091f46449d3dfa8c9d813302776e7714a872df141eebc51d2a932b43228db968fa5eeadaa27dae29d884fd026d38f344caba08b5aa08b1eb0793fcd7591ab5d0e52c62aa4cdb1d1a6a2f9fe133d75812e06b8494caa8de23177433e70f4ee6e5160a0b1ea40b63d86d180d338bb22be1726365a22100efaa8936372ee367cd006d178c05b2dfbe90d664e150f13893b873b68fbad8f4f5d1374165bf26aac7da29f4747825d6d305a70f01ef428d1c3124482e35bb6aaf120d4fd409c9c1f358c6e52741d3b50af72c33969d2f0f76be2249ef658c98c8bf734c879821a9ad8c93e859c066a350c331fb6897e860eb1cc1e8613b3585b3bd1ba9e93b4aed63c5e2e5cf0a4b2175d8560a2b44ed0d0e71bdabf09781ba76528b1f9a65a92d173abdd8947ca5d5869b17a4dff75f86c6754d51d35b161fb0412f4ffcb3a62396cf0cc3900b3c842b3318701e744b729e1738a5aa14ba0dceadd5c047fd44010e489dc4e466547e7505702249023b035d943ae3b94f53378743954a2ee929f8c6198fdef3b1387b0969c80a0c0d1e8e6d7dca7b90eaa300f47574c4537025965b7349804dc1c1afb6518c9393919a3066c05e727b26d518f35f9e1612a9643bd6578e2eac72d01580ceb4a435f79dd764f3c8adff10171c14f0a87d40a48ff8e373fe152cde22f34da858d31621048ccfde3195a745d4f13cc44f960f019770e615d7ea4e95399997b8e1993e5e0bfe3bcf7295e64877cbd228f8c79bd6fec1cc30583f86bbfe9f924ac849645c070ef98dbc62311f33df2a92064b54967a73ee2de6d52f75c10b39e1f115cacc2098cc2a6539a27414f0e0870e4468b28ebb4b137ef9973b91a3eb245e1ba2e29367409a0ca06f6d111f268cd8838a95bcb57a24d99318d1fdc99036187e0b82bdbb08313c0899c9e3ca29ad8a97e086ca19965aea2a50cf77e4656c64a03b53458b763b510be57fd7fb00d3fa091de1580be9ee1710f40e43ec61366bf3c61e86fcf2ea27721d4e1ff9bb14490e5e9dcbfe5a6eeb3fea9765a25ae806c1d7a90ff7af215e7a0a01998229be865f892f8425aebdc7fce71d9c82183a9b873c3c0db9dc5adc7d7f67bd6b9e72bf3a662335dbc7ebc89dbf99bda8e2305fbd7c947d6a8444933e5c0d4f3ff10629d787c3fd677d77bfdb52519f025332e5993cbfe044365c894ded33f05e65349df21795dbc0a5432c4b90b4e0c69697a2a8fa9842cdba87211cb6a1a3916e0c837da8d04d7ab9827f3', 1, NULL);
INSERT INTO public.fences VALUES ('\x6ec93d7e271f3521beaa58afd875443e', 'heat-co', 'customer', '\xba5479671e9aab1912e086670e059cb545cd550e82e481806c4b380144e5e70e', 674, '\xe5dc0c1f1fe984988b5d6d933f75a1a7', 0, NULL, NULL, NULL);
INSERT INTO public.fences VALUES ('\x3de1c9d5b5b914c52fa7196209826d98', 'heat-co', 'device', '\x2b0f0aa22d0d8bb16408e08dcbd45089098799678f762e6367323863dea6c7d4', 674, '\xe5dc0c1f1fe984988b5d6d933f75a1a7', 1769731200000000000, NULL, NULL, NULL);
INSERT INTO public.glomska_schema VALUES (3);
INSERT INTO public.horizons VALUES ('heat-co', 'telemetry', 650, 1772323200000000000);
INSERT INTO public.horizons VALUES ('heat-co', 'billing', 578, 1772323200000000000);
INSERT INTO public.horizons VALUES ('heat-co', 'identity', 0, 1772323200000000000);
INSERT INTO public.incarnations VALUES ('\xba8501054002f7a57576253fe2d9ca6d', 'heat-co', 1772323200000000000);
INSERT INTO public.incarnations VALUES ('\xae9b157f0a9db40e6fe2f26133a011e1', 'heat-co', 1772323200000000000);
INSERT INTO public.keks VALUES ('heat-co', 1, '\x01eb40b33b474cdd15f5bd118becef05deaf60ab3a9c2a76b62433987c5307b2f8962d3e1755b9ff20e4aee3c24df1e0ff81d85e890b181451f284704b', 1772323200000000000);
INSERT INTO public.keys VALUES ('\x0d6f0628a01d5f0f706d1c51f91e7c95', '\xba8501054002f7a57576253fe2d9ca6d', 'heat-co', 'billing', 1, 578, 1, '\x01ae70499417430b288c5fcd56c2ea2031fcc1ab1d8774d52e16e04843606904784969f4fddb50c7fbbd892e8d3b6d2a4b374bbbde0da1d6be95353788', '\x62072a5f04820a815222dcaec833e4dc7f25f97dabcc5b840d05b16e8fda5b01', 'active', 0);
INSERT INTO public.keys VALUES ('\x114706979f827b190f2d47bd82788b3f', '\xba8501054002f7a57576253fe2d9ca6d', 'heat-co', 'identity', 1, 0, 1, '\x012af1c109731ba5d2ca96c01dc2bf5a439129335b53c45b3391fac5e0bd6b7bd392e6ae460a55188254f2e32d358a9c546eb0c344267187ecd73565de', '\x20ee660985239388f1c7cf6ce1de04063ca938ea5336ede5fe58cfd35d1ad386', 'active', 0);
INSERT INTO public.keys VALUES ('\x25261a730ee8618850d6caeb646dd139', '\xba8501054002f7a57576253fe2d9ca6d', 'heat-co', 'telemetry', 1, 650, 1, '\x01c678b84102a6a442aced1f1422343b35985dc233e011a10f38ca0297131ad8c4f456f906f8d7f7d5bd441525a37c92d51aa8294fca06bcc994f618e5', '\x670527aad8053f46c20ad4fc427b40a974671508a1e19465c7b1b3382f99b684', 'active', 0);
INSERT INTO public.keys VALUES ('\x950b414e0f27c543efce2ce5e8525869', '\xae9b157f0a9db40e6fe2f26133a011e1', 'heat-co', 'billing', 1, 578, 1, NULL, NULL, 'destroyed', 0);
INSERT INTO public.keys VALUES ('\xc31563e4bbab553114e72e1287e31b2c', '\xae9b157f0a9db40e6fe2f26133a011e1', 'heat-co', 'identity', 1, 0, 1, NULL, NULL, 'destroyed', 0);
INSERT INTO public.keys VALUES ('\x12e4e6480e9e73933a3fceb17c7159de', '\xae9b157f0a9db40e6fe2f26133a011e1', 'heat-co', 'telemetry', 1, 650, 1, NULL, NULL, 'destroyed', 0);
INSERT INTO public.records VALUES ('\xe8484050409900471471e602a06a5b67', '\xba8501054002f7a57576253fe2d9ca6d', 'identity', 1, 0, 'customer', '\x01cfdb8f6346b59c22824909a26cc8ed11e75adae6ab789cbe29e235d6091fa49b9cb4f62345e1e3320a6fd0e88b6391e2ec7f39b94ebd894f53a3806b8a');
INSERT INTO public.records VALUES ('\x5c00751342b791f225290064a79e8497', '\xba8501054002f7a57576253fe2d9ca6d', 'identity', 1, 0, 'device', '\x0192a37625624ab76bede96dda5d44aa0049af00a9e4e4566bec8729894006aa792a8fac1d54f148770585bed52ec81106cccc4ee4b94af34131833f9d7f5e8be3aade202251d9d4e3eefe8dd442e281d2edcf4bc80b34afde220769870f75c3e8be5db78cd123622abf');
INSERT INTO public.records VALUES ('\x48dc489c48efbedc858ebbcc16936f32', '\xba8501054002f7a57576253fe2d9ca6d', 'identity', 1, 0, 'choice', '\x01ec2b4a8bf2a6f661b675493da0bd3ac9bb04d44e78dc858f1f2eb9930f656bcb3bbde15b6469da15afafa4cbd25c552bb16232c9497ef9efda52f2217c512e5814836fd26ce6eb2dcaab47571f3fbc2ba34abbd0d377587285bc4a8b6bdf924bf7384ee9');
INSERT INTO public.records VALUES ('\xf6972419a9916dbe65bb02d05978661d', '\xba8501054002f7a57576253fe2d9ca6d', 'identity', 1, 0, 'device', '\x01a5ad5a7e634bc890212399477ccbae031f71ba01c50e0209f12b9992928f14d4759c07a265edc4e4b22fec72dbfe2654ea0bc998a668e42c469e5c120b59b04e1327d026b5e3853cc07cd30198bbe36c074af6b1dfe1a3f9ea46129f19530c4d7565f61e42f595fa0b');
INSERT INTO public.records VALUES ('\xf96b0d9c9c8789d3a28b2698b0e7c8d6', '\xba8501054002f7a57576253fe2d9ca6d', 'identity', 1, 0, 'choice', '\x0195bb49a84c592efdc92c17d266eae0a67dacb1d9b4816ebe78d424b6045a01e5789cdb26c5f8bad8f04b6922ec2fcb2003ab132b3deb6fad8e1a6696add58c4ea03b066648324a7aaf2b1fdc8cfcf9b38e1ee68b3ddd0da0d7919c28d23191009dfd2142');
INSERT INTO public.routes VALUES ('\x6c56b65b168621d3e08a6f7353837961', 'heat-co', 'customer', '\xae68c8cf3b6f26abc69990fbfaf3e11f9d44d817c85fd0a6822e620a0a4f8663', 1, '\xba8501054002f7a57576253fe2d9ca6d', 'SE3', 0, NULL);
INSERT INTO public.routes VALUES ('\xde2d0def27a9efbb6504ef562811b1b8', 'heat-co', 'device', '\xfaee3228f58d3c419090088621baea7cf124c15f1e0b5c570c119d82605af8b8', 1, '\xba8501054002f7a57576253fe2d9ca6d', 'SE3', 1769731200000000000, NULL);
INSERT INTO public.routes VALUES ('\xe2fb004c1762e20871e2627e70ae4b08', 'heat-co', 'device', '\x84a6b1804f8df93b18c85dd88ddb2b0c604e8ba3d2cfdcfbb1227a5bcfd256ee', 1, '\xba8501054002f7a57576253fe2d9ca6d', 'SE3', 1769731200000000000, NULL);
INSERT INTO public.secrets VALUES ('\x8778cc511a45638c69a222f5f7695744', 'heat-co', 'route', 1, 1, '\x01f136cd051a69e28ea19259229c6f5eb87f3de3c18df32498e90fc2a09a645f9717e97467194d3628ce605ea0122332d80b7d9a9e963749c38200b873', 1772323200000000000);
INSERT INTO public.secrets VALUES ('\x70b3f21cdd0f412c944eb90e07079a4e', 'heat-co', 'fence', 674, 1, '\x0159f1fbe556ba0a44b9784a8e509ce602b7005216fe698b4ae11810941df9df6f110a1c2f25b2590c604e9f54954078e0269e755836c84d74b218f109', 1772323200000000000);
INSERT INTO public.secrets VALUES ('\x126144de53c652ac607cfde7c7bbb61e', 'heat-co', 'purge', 0, 1, '\x01bb26d8e928ecb0a19e3ae7bac1ac3719705e5731edca1e7e5c222f699a54e91d8a349e30dc8814d9a426bd7d8072b6ab8dc69714c2ee5c5dae6ada7c', 1772323200000000000);
INSERT INTO public.state VALUES (1, 2, '\x0a29a6bbf657d984f472c61ce0c973bb', 9, '\x0000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO public.transitions VALUES (1, '\x0d6f0628a01d5f0f706d1c51f91e7c95', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (2, '\x114706979f827b190f2d47bd82788b3f', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (3, '\x25261a730ee8618850d6caeb646dd139', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (4, '\x950b414e0f27c543efce2ce5e8525869', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (5, '\xc31563e4bbab553114e72e1287e31b2c', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (6, '\x12e4e6480e9e73933a3fceb17c7159de', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (7, '\x950b414e0f27c543efce2ce5e8525869', 'erasing', 1772323200000000000);
INSERT INTO public.transitions VALUES (8, '\xc31563e4bbab553114e72e1287e31b2c', 'erasing', 1772323200000000000);
INSERT INTO public.transitions VALUES (9, '\x12e4e6480e9e73933a3fceb17c7159de', 'erasing', 1772323200000000000);
INSERT INTO public.transitions VALUES (10, '\x950b414e0f27c543efce2ce5e8525869', 'destroyed', 1772323200000000000);
INSERT INTO public.transitions VALUES (11, '\xc31563e4bbab553114e72e1287e31b2c', 'destroyed', 1772323200000000000);
INSERT INTO public.transitions VALUES (12, '\x12e4e6480e9e73933a3fceb17c7159de', 'destroyed', 1772323200000000000);
SELECT pg_catalog.setval('public.accesses_seq_seq', 1, false);
SELECT pg_catalog.setval('public.acts_seq_seq', 1, false);
SELECT pg_catalog.setval('public.state_one_seq', 1, false);
SELECT pg_catalog.setval('public.transitions_id_seq', 12, true);
ALTER TABLE ONLY public.accesses
    ADD CONSTRAINT accesses_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (erasure, party);
ALTER TABLE ONLY public.acts
    ADD CONSTRAINT acts_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.captures
    ADD CONSTRAINT captures_pkey PRIMARY KEY (capture);
ALTER TABLE ONLY public.controllers
    ADD CONSTRAINT controllers_pkey PRIMARY KEY (controller);
ALTER TABLE ONLY public.departures
    ADD CONSTRAINT departures_pkey PRIMARY KEY (controller);
ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT erasures_pkey PRIMARY KEY (erasure);
ALTER TABLE ONLY public.fences
    ADD CONSTRAINT fences_pkey PRIMARY KEY (fence_id);
ALTER TABLE ONLY public.holds
    ADD CONSTRAINT holds_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY public.horizons
    ADD CONSTRAINT horizons_pkey PRIMARY KEY (controller, key_class);
ALTER TABLE ONLY public.incarnations
    ADD CONSTRAINT incarnations_pkey PRIMARY KEY (incarnation);
ALTER TABLE ONLY public.keks
    ADD CONSTRAINT keks_pkey PRIMARY KEY (controller, e);
ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_incarnation_key_class_version_key UNIQUE (incarnation, key_class, version);
ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY public.quarantine
    ADD CONSTRAINT quarantine_pkey PRIMARY KEY (item);
ALTER TABLE ONLY public.records
    ADD CONSTRAINT records_pkey PRIMARY KEY (record_id);
ALTER TABLE ONLY public.routes
    ADD CONSTRAINT routes_pkey PRIMARY KEY (route_id);
ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY public.state
    ADD CONSTRAINT state_pkey PRIMARY KEY (one);
ALTER TABLE ONLY public.suspensions
    ADD CONSTRAINT suspensions_pkey PRIMARY KEY (scope);
ALTER TABLE ONLY public.transitions
    ADD CONSTRAINT transitions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.turnovers
    ADD CONSTRAINT turnovers_pkey PRIMARY KEY (controller, e);
ALTER TABLE ONLY public.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (worker);
ALTER TABLE ONLY public.wrappings
    ADD CONSTRAINT wrappings_pkey PRIMARY KEY (controller, e);
CREATE INDEX ix_erasures_incarnation ON public.erasures USING btree (incarnation);
CREATE INDEX ix_fences_hash ON public.fences USING btree (hash);
CREATE INDEX ix_holds_erasure ON public.holds USING btree (erasure);
CREATE INDEX ix_records_incarnation ON public.records USING btree (incarnation);
CREATE INDEX ix_routes_hash ON public.routes USING btree (hash);
CREATE INDEX ix_routes_incarnation ON public.routes USING btree (incarnation);
CREATE INDEX ix_transitions_key_id ON public.transitions USING btree (key_id);
CREATE INDEX keys_by_e ON public.keys USING btree (controller, e) WHERE (wrapped IS NOT NULL);
CREATE INDEX keys_coming ON public.keys USING btree (valid_from) WHERE (state = 'pre-activation'::text);
CREATE INDEX routes_by_e ON public.routes USING btree (controller, e);
CREATE INDEX secrets_by_e ON public.secrets USING btree (controller, e);
CREATE INDEX secrets_by_kind ON public.secrets USING btree (controller, kind, version);
ALTER TABLE ONLY public.departures
    ADD CONSTRAINT departures_controller_fkey FOREIGN KEY (controller) REFERENCES public.controllers(controller);
ALTER TABLE ONLY public.holds
    ADD CONSTRAINT holds_key_id_fkey FOREIGN KEY (key_id) REFERENCES public.keys(key_id);
ALTER TABLE ONLY public.horizons
    ADD CONSTRAINT horizons_controller_fkey FOREIGN KEY (controller) REFERENCES public.controllers(controller);
ALTER TABLE ONLY public.incarnations
    ADD CONSTRAINT incarnations_controller_fkey FOREIGN KEY (controller) REFERENCES public.controllers(controller);
ALTER TABLE ONLY public.keks
    ADD CONSTRAINT keks_controller_fkey FOREIGN KEY (controller) REFERENCES public.controllers(controller);
ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_incarnation_fkey FOREIGN KEY (incarnation) REFERENCES public.incarnations(incarnation);
ALTER TABLE ONLY public.records
    ADD CONSTRAINT records_incarnation_fkey FOREIGN KEY (incarnation) REFERENCES public.incarnations(incarnation);
ALTER TABLE ONLY public.routes
    ADD CONSTRAINT routes_incarnation_fkey FOREIGN KEY (incarnation) REFERENCES public.incarnations(incarnation);
ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_controller_fkey FOREIGN KEY (controller) REFERENCES public.controllers(controller);
ALTER TABLE ONLY public.transitions
    ADD CONSTRAINT transitions_key_id_fkey FOREIGN KEY (key_id) REFERENCES public.keys(key_id);
ALTER TABLE ONLY public.turnovers
    ADD CONSTRAINT turnovers_controller_fkey FOREIGN KEY (controller) REFERENCES public.controllers(controller);
ALTER TABLE ONLY public.wrappings
    ADD CONSTRAINT wrappings_controller_fkey FOREIGN KEY (controller) REFERENCES public.controllers(controller);
