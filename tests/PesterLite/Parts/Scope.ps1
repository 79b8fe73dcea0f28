# Test code runs in the session state that called Invoke-Pester, in a chain of scopes of its own: a script scope for the
# container, one scope for each block and one for each test. Set-up code is dot-sourced into the scope it serves, so what
# it assigns is there for everything inside. The frames below are those scopes; they hold one variable, which is named so
# that no test will use it.

# Names are expanded once set-up is done, so they may use what it made; where it fails, a name stays as written.

# A test: every BeforeEach from the outermost, the test, every AfterEach from the innermost, all in one scope.
# The one-turn loops keep a stray `continue` or `break` in test code from reaching the runner.
$script:TestFrame = {
    param ($______frame)
    try {
        & $______frame.Enter $______frame
        foreach ($______part in $______frame.Setup) { do { $null = . $______part } while ($false) }
        & $______frame.Ready $______frame
        do {
            $______arguments = $______frame.Arguments
            $______frame.Output = . $______frame.Body @______arguments
            $______frame.Completed = $true
        } while ($false)
    }
    catch { $______frame.Errors.Add($_) }
    foreach ($______part in $______frame.Teardown) {
        try { do { $null = . $______part } while ($false) }
        catch { $______frame.Errors.Add($_) }
    }
}

# A block: BeforeAll, whatever the block contains in scopes below this one, AfterAll.
$script:BlockFrame = {
    param ($______frame)
    try {
        & $______frame.Enter $______frame
        foreach ($______part in $______frame.Setup) { do { $null = . $______part } while ($false) }
        & $______frame.Ready $______frame
    }
    catch { $______frame.Errors.Add($_) }
    & $______frame.Children $______frame
    foreach ($______part in $______frame.Teardown) {
        try { do { $null = . $______part } while ($false) }
        catch { $______frame.Errors.Add($_) }
    }
}

# Discovery: the body of a container or block, which only declares what there is.
$script:DiscoveryFrame = {
    param ($______frame)
    & $______frame.Enter $______frame
    $______arguments = $______frame.Arguments
    $null = . $______frame.Body @______arguments
    & $______frame.Leave $______frame
}

# Only running a script file makes a new `$script:` scope, so each container is run through one.
$script:ScriptScopeFrame = {
    param ($______frame)
    & $______frame.ScriptScopePath $______frame
}
$script:ScriptScopePath = [System.IO.Path]::Combine([System.IO.Path]::GetDirectoryName($PSScriptRoot), 'ScriptScope.ps1')

# A module object around the caller's session state: what it binds runs there.
function New-ScopeBinder([System.Management.Automation.SessionState] $SessionState) {
    $binder = [psmoduleinfo]::new($false)
    $binder.SessionState = $SessionState
    $binder
}

function Invoke-Frame([scriptblock] $Frame, [hashtable] $Values) {
    & $script:Run.Binder.NewBoundScriptBlock($Frame) $Values
}

function Invoke-InScriptScope([scriptblock] $Frame, [hashtable] $Values) {
    $Values.Frame = $script:Run.Binder.NewBoundScriptBlock($Frame)
    $Values.ScriptScopePath = $script:ScriptScopePath
    Invoke-Frame $script:ScriptScopeFrame $Values
}

# Called from a frame: defines the data of a -ForEach in the frame's scope.
function Set-ScopeData($Item) {
    if (-not $Item.HasData) { return }
    $variables = $script:Run.SessionState.PSVariable
    $variables.Set('_', $Item.Data)
    if ($Item.Data -is [System.Collections.IDictionary]) {
        foreach ($key in $Item.Data.Keys) { $variables.Set([string]$key, $Item.Data[$key]) }
    }
}

# Called from a frame: replaces each <expression> of a name by its value in the frame's scope. A backtick keeps a < as it is.
function Expand-Name([string] $Name) {
    if (-not $Name.Contains('<')) { return $Name }
    $text = $Name.Replace('$', '`$').Replace('"', '`"') -replace '(?<!`)<([^>`]+)>', '$$($$$1)'
    . $script:Run.Binder.NewBoundScriptBlock([scriptblock]::Create("`"$text`""))
}

function Expand-ItemName($Item) {
    $Item.ExpandedName = Expand-Name $Item.Name
    $parent = if ($Item.Parent) { $Item.Parent.ExpandedPath }
    $Item.ExpandedPath = if ($parent) { "$parent.$($Item.ExpandedName)" } else { $Item.ExpandedName }
}

# A body with a param block gets the data it asks for by name.
function Get-BodyArgument([scriptblock] $Body, $Data) {
    $arguments = @{}
    if ($Body.Ast.ParamBlock -and $Data -is [System.Collections.IDictionary]) {
        foreach ($parameter in $Body.Ast.ParamBlock.Parameters) {
            $name = $parameter.Name.VariablePath.UserPath
            if ($Data.Contains($name)) { $arguments[$name] = $Data[$name] }
        }
    }
    $arguments
}
